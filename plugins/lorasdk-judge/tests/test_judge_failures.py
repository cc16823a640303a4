from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from judging import ROWS, Round, example
from local_judge import KEY, Answer, Asked, LocalJudge, by_rule, fails, says

from lorasdk import InferenceError, LorasdkError

GOOD = '{"reason": "fine", "score": 5}'


def failure(work: Callable[[], object]) -> LorasdkError:
    with pytest.raises(InferenceError) as caught:
        work()
    return caught.value


def variables_of_frames(error: BaseException | None) -> Iterator[str]:
    """What tools that look into frames would show, of the error and its causes; the tests' own frames know the key."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename).parent != Path(__file__).parent:
                yield repr(frame.f_locals)
        error = error.__cause__


@pytest.mark.parametrize("status", [401, 403])
def test_denied_access_is_an_error_at_once_that_shows_no_key(
    judge: LocalJudge, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    judge.behave = lambda _: fails(status, f"Incorrect API key provided: {KEY}.")

    error = failure(lambda: Round(judge).score(attempts=5, max_parallel=1))

    assert error.code == "judge.denied"
    assert "${env:NAME}" in error.problems[0].fix
    assert len(judge.asked) == 1
    shown = "".join(traceback.format_exception(error)) + caplog.text + repr(error.__cause__)
    assert "Incorrect API key provided: ***." in shown
    assert KEY not in shown
    assert KEY not in "".join(variables_of_frames(error))


def test_a_denied_request_without_a_key_says_so(judge: LocalJudge) -> None:
    judge.behave = lambda _: fails(401)

    assert "without an api_key" in str(failure(lambda: Round(judge).score(api_key=None)))
    assert "Authorization" not in judge.asked[0].headers


def test_a_busy_endpoint_is_asked_again_after_what_it_says(judge: LocalJudge) -> None:
    judge.first = [fails(429, Retry_After="0.2")]
    tuned, began = Round(judge), time.monotonic()

    assert tuned.score(ROWS[:1], attempts=2) == [1.0]
    assert 0.2 <= time.monotonic() - began < 0.5  # the client's own first wait is 0.375 s at least
    assert "requests 2" in tuned.notice("judge.cost")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (fails(429, retry_after_ms="1"), "judge.busy"),
        (fails(500, retry_after_ms="1"), "judge.endpoint-failed"),
        (fails(503, retry_after_ms="1"), "judge.endpoint-failed"),
        (Answer(seconds=5.0), "judge.timeout"),
    ],
)
def test_failures_that_last_are_errors_after_all_attempts(judge: LocalJudge, answer: Answer, code: str) -> None:
    judge.behave = lambda _: answer
    attempts = 1 if answer.seconds else 3

    error = failure(lambda: Round(judge).score(ROWS[1:2], attempts=attempts, timeout=0.2))

    assert (error.code, len(judge.asked)) == (code, attempts)
    assert "row 2" in error.problems[0].message
    assert error.__cause__ is not None


def test_a_silent_endpoint_is_asked_again(judge: LocalJudge) -> None:
    judge.first = [Answer(seconds=5.0)]

    assert Round(judge).score(ROWS[:1], attempts=2, timeout=0.2) == [1.0]


def test_a_reply_that_trickles_in_is_ended(judge: LocalJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorasdk_judge.endpoint.LONGEST_WAIT", 0.0)
    judge.behave = lambda _: Answer(body=b"{" * 1000, trickle=True)

    assert failure(lambda: Round(judge).score(ROWS[:1], timeout=0.3)).code == "judge.timeout"


def test_an_unreachable_endpoint_is_named(judge: LocalJudge) -> None:
    error = failure(lambda: Round(judge).score(base_url="http://127.0.0.1:9/v1"))

    assert error.code == "judge.unreachable"
    assert "http://127.0.0.1:9/v1" in str(error)
    assert error.__cause__ is not None


def test_a_wrong_path_is_told_from_a_wrong_model(judge: LocalJudge) -> None:
    error = failure(lambda: Round(judge).score(base_url=judge.url.removesuffix("/v1")))

    assert error.code == "judge.not-found"
    assert "/chat/completions" in error.problems[0].fix


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}', b"\xff"])
def test_what_is_no_chat_completion_is_an_error(judge: LocalJudge, body: bytes) -> None:
    judge.behave = lambda _: Answer(body=body)

    assert failure(lambda: Round(judge).score()).code == "judge.other-protocol"


def test_a_redirect_is_not_followed(judge: LocalJudge) -> None:
    judge.behave = lambda _: fails(307, Location="http://127.0.0.1:9/elsewhere")

    assert failure(lambda: Round(judge).score()).code == "judge.request-refused"


def test_an_unusable_verdict_is_repaired_once(judge: LocalJudge) -> None:
    judge.first = [says("Four out of five!")]

    assert Round(judge).score(ROWS[:1]) == [1.0]
    assert [turn["role"] for turn in judge.asked[1].body["messages"]] == ["system", "user", "assistant", "user"]
    assert "Your reply cannot be used" in judge.asked[1].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("no JSON", "no verdict in JSON"),
        ("", "no verdict in JSON"),
        ('{"reason": "x", "score": 6}', "score 6 is not from 1 to 5"),
        ('{"reason": "x", "score": 4.5}', "score: "),
        ('{"reason": "x", "score": "5"}', "score: "),
        ('{"reason": "x", "score": true}', "score: "),
        ('{"score": 5}', "reason: "),
        (GOOD + GOOD, "no verdict in JSON"),
        ('{"reason": "x", "score": 5, "by": "me"}', "by: "),
    ],
)
def test_no_score_is_made_up(judge: LocalJudge, reply: str, why: str) -> None:
    judge.behave = lambda _: says(reply)

    error = failure(lambda: Round(judge).score(ROWS[1:2]))

    assert (error.code, len(judge.asked)) == ("judge.no-verdict", 2)
    assert "row 2" in error.problems[0].message
    assert why in error.problems[0].found


def test_a_reply_that_was_cut_off_is_no_verdict(judge: LocalJudge) -> None:
    judge.behave = lambda _: says(GOOD, finish="length")

    assert "cut off" in failure(lambda: Round(judge).score(ROWS[:1])).problems[0].found


@pytest.mark.parametrize("reply", [says(None, refusal="I must not."), says("", finish="content_filter")])
def test_a_refusal_is_an_error_without_repair(judge: LocalJudge, reply: Answer) -> None:
    judge.behave = lambda _: reply

    error = failure(lambda: Round(judge).score(ROWS[:1]))

    assert (error.code, len(judge.asked)) == ("judge.no-verdict", 1)
    assert "it refuses" in error.problems[0].found


def test_all_rows_without_a_verdict_are_named_and_the_others_are_kept(judge: LocalJudge) -> None:
    judge.behave = lambda asked: by_rule(asked) if asked.part("answer") == "4" else says("?")

    error = failure(lambda: Round(judge).score())
    assert [problem.message[:5] for problem in error.problems] == ["row 2", "row 3"]

    judge.behave = by_rule
    judge.asked.clear()
    Round(judge).score()
    assert len(judge.asked) == 2


def test_verdicts_are_read_from_text_where_the_form_is_refused(judge: LocalJudge) -> None:
    def behave(asked: Asked) -> Answer:
        return fails(400, "response_format is not supported") if "response_format" in asked.body else by_rule(asked)

    judge.behave = behave
    tuned = Round(judge)

    assert tuned.score(max_parallel=1) == [1.0, 0.0, 0.0]
    assert len(judge.asked) == 4  # refused once
    assert "response_format" in tuned.notice("judge.plain-text")


def test_plain_text_can_be_asked_for(judge: LocalJudge) -> None:
    judge.behave = lambda _: says(f"```json\n{GOOD}\n```")

    assert Round(judge).score(ROWS[:1], structured_output=False) == [1.0]
    assert "response_format" not in judge.asked[0].body


def test_a_request_that_is_refused_in_any_form_is_an_error(judge: LocalJudge) -> None:
    judge.behave = lambda _: fails(400, "maximum context length")
    tuned = Round(judge)

    error = failure(lambda: tuned.score(ROWS[1:2]))

    assert (error.code, len(judge.asked)) == ("judge.request-refused", 2)
    assert "maximum context length" in error.problems[0].found
    assert "judge.plain-text" not in dict(tuned.told)


def test_no_request_is_sent_once_the_bound_of_cost_is_reached(judge: LocalJudge) -> None:
    rows = [example(row, f"question {row}", "yes") for row in range(1, 11)]
    tuned = Round(judge)

    error = failure(lambda: tuned.score(rows, input_price=10_000, output_price=0, max_cost=2.5, max_parallel=1))

    assert (error.code, len(judge.asked)) == ("judge.max-cost", 3)
    assert "requests 3" in error.problems[0].found
    assert "cost 3 in" in tuned.notice("judge.cost")


def test_a_bound_of_cost_needs_the_endpoints_count(judge: LocalJudge) -> None:
    judge.behave = lambda _: says(GOOD, usage=False)

    error = failure(lambda: Round(judge).score(input_price=1, output_price=1, max_cost=1))

    assert error.code == "judge.no-token-count"
