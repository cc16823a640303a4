from __future__ import annotations

import json
from pathlib import Path

import pytest
from judging import ROWS, Round, example
from local_judge import LocalJudge, says

from lorasdk import DataError, Example, Message, PluginError


def test_scores_are_shares_of_the_scale_in_the_rows_order(judge: LocalJudge) -> None:
    assert Round(judge).score() == [1.0, 0.0, 0.0]


def test_a_score_inside_another_scale_is_its_share(judge: LocalJudge) -> None:
    judge.behave = lambda _: says('{"reason": "so-so", "score": 7}')

    assert Round(judge).score(ROWS[:1], lowest=-3, highest=17) == [0.5]


def test_equal_cases_are_asked_once(judge: LocalJudge) -> None:
    rows = [example(row, "2 + 2?", "4") for row in range(1, 6)]

    assert Round(judge).score(rows) == [1.0] * 5
    assert len(judge.asked) == 1


def test_the_judge_is_asked_what_the_recipe_says(judge: LocalJudge) -> None:
    Round(judge).score(ROWS[:1], seed=7, rubric="Only kindness counts.")

    body = judge.asked[0].body
    assert (body["model"], body["temperature"], body["seed"]) == ("local", 0.0, 7)
    assert "Only kindness counts." in judge.asked[0].system
    assert judge.asked[0].headers["Authorization"].startswith("Bearer sk-")


def test_null_temperature_and_no_seed_are_not_sent(judge: LocalJudge) -> None:
    Round(judge).score(ROWS[:1], temperature=None)

    assert not {"temperature", "seed"} & judge.asked[0].body.keys()


def test_the_form_of_a_verdict_is_enforced_by_the_endpoint(judge: LocalJudge) -> None:
    Round(judge).score(ROWS[:1], lowest=0, highest=2)

    schema = judge.asked[0].body["response_format"]["json_schema"]
    assert schema["strict"]
    assert schema["schema"]["properties"]["score"] == {"type": "integer", "enum": [0, 1, 2]}


def test_the_rubric_comes_from_a_file_beside_the_recipe(judge: LocalJudge, tmp_path: Path) -> None:
    (tmp_path / "rubric.txt").write_text("Grüße zählen.", encoding="utf-8")

    Round(judge, base_dir=tmp_path).score(ROWS[:1], rubric_file="rubric.txt")

    assert "Grüße zählen." in judge.asked[0].system


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\xff"])
def test_an_unreadable_rubric_is_an_error_before_anything_is_answered(
    judge: LocalJudge, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "rubric.txt").write_bytes(content)

    with pytest.raises(PluginError) as caught:
        Round(judge, base_dir=tmp_path).score(rubric_file="rubric.txt")

    assert (caught.value.code, caught.value.problems[0].place) == ("judge.rubric-unreadable", "recipe.yaml:9:5")
    assert not judge.asked


def test_the_reference_can_be_kept_from_the_judge(judge: LocalJudge) -> None:
    judge.behave = lambda _: says('{"reason": "fine", "score": 5}')

    Round(judge).score([example(1, "Say a word.", "SHIBBOLETH")], show_reference=False)

    assert "SHIBBOLETH" not in json.dumps(judge.asked[0].body)
    assert "reference answer" not in judge.asked[0].system


def test_all_turns_are_shown(judge: LocalJudge) -> None:
    turns = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "?")]

    Round(judge).score([Example(1, (*turns, Message("assistant", "!")))])

    asked = judge.asked[0]
    assert asked.part(r"question, turn 1 \(system\)") == "Be brief."
    assert asked.part(r"question, turn 3 \(assistant\)") == "Hello"
    assert asked.part(r"question, turn 4 \(user\)") == "?"


def test_plain_text_rows_are_refused_together(judge: LocalJudge) -> None:
    with pytest.raises(DataError) as caught:
        Round(judge).score([Example(1, text="a"), ROWS[1], Example(3, text="b")])

    assert [problem.message.split()[1] for problem in caught.value.problems] == ["1", "3"]


def test_base_and_tuned_are_the_same_to_the_judge(judge: LocalJudge) -> None:
    for label in ("base", "tuned"):
        Round(judge, label=label).score(cache=False, max_parallel=1)

    assert [asked.body for asked in judge.asked[:3]] == [asked.body for asked in judge.asked[3:]]


def test_costs_are_told_for_each_scored_model(judge: LocalJudge) -> None:
    base, tuned = Round(judge, label="base"), Round(judge, label="tuned")
    base.score(input_price=2.0, output_price=10.0)
    tuned.score(ROWS[1:], input_price=2.0, output_price=10.0)

    used = "requests 3, verdicts from the cache 0, tokens in 300, tokens out 30, cost 0.0009 in the unit of the prices"
    assert base.told == [("judge.cost", f"judging the answers of base: {used}")]
    assert "requests 0, verdicts from the cache 2, tokens in 0, tokens out 0, cost 0" in tuned.notice("judge.cost")


def test_without_prices_tokens_are_counted_only(judge: LocalJudge) -> None:
    tuned = Round(judge)
    tuned.score()

    assert tuned.notice("judge.cost").endswith("tokens in 300, tokens out 30")


def test_replies_without_a_count_are_told(judge: LocalJudge) -> None:
    judge.behave = lambda _: says('{"reason": "fine", "score": 5}', usage=False)
    tuned = Round(judge)
    tuned.score()

    assert "without a token count, not in it: 3" in tuned.notice("judge.cost")
