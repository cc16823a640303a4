"""What can go wrong with a judge, in words that say what to do. None holds a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lorasdk import Problem
from lorasdk_judge.options import JudgeOptions
from lorasdk_judge.verdict import shortened

DENIED = (401, 403)
NOT_FOUND = 404
BUSY = 429
FAILING = 500


def failed_request(error: Exception, options: JudgeOptions, row: int, place: str) -> Problem:
    """Say why a request was not answered; `error` is the client's, after its last attempt."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APITimeoutError | TimeoutError):
        return _silent(options, row, place)
    if isinstance(error, APIConnectionError):
        return _unreachable(error, options, place)
    if isinstance(error, APIStatusError):
        return _answered_with(error.status_code, shortened(str(error)), options, row, place)
    return Problem(
        code="judge.client-failed",
        message=f"the client of the judge's endpoint {options.base_url} failed on row {row}",
        place=place,
        found=shortened(str(error)),
        fix="check the evaluator's options against the endpoint's manual",
    )


def _answered_with(status: int, said: str, options: JudgeOptions, row: int, place: str) -> Problem:
    """The problem of a reply with an HTTP status that is no success."""
    if status in DENIED:
        return _denied(said, options, place)
    if status == NOT_FOUND:
        return _not_found(said, options, place)
    if status == BUSY:
        return _busy(said, options, row, place)
    if status >= FAILING:
        return _failing(said, options, row, place)
    return Problem(
        code="judge.request-refused",
        message=f"the judge's endpoint {options.base_url} refuses the request about row {row}",
        place=place,
        found=said,
        fix="read what it says: often the row is too long for the judge, or the model takes no temperature or seed "
        "(write `temperature: null`)",
    )


def _denied(said: str, options: JudgeOptions, place: str) -> Problem:
    sent = "with the api_key of the recipe" if options.api_key else "without an api_key"
    return Problem(
        code="judge.denied",
        message=f"the judge's endpoint {options.base_url} denies access {sent}",
        place=place,
        field="api_key",
        found=said,
        allowed=f"a key that may use the model {options.model!r}",
        fix="write `api_key: ${env:NAME}` and set that variable to a valid key of this endpoint",
    )


def _not_found(said: str, options: JudgeOptions, place: str) -> Problem:
    return Problem(
        code="judge.not-found",
        message=f"the judge's endpoint {options.base_url} knows no model {options.model!r}, or no chat completions",
        place=place,
        field="model",
        found=said,
        fix="check `model`, and that `base_url` is what stands before /chat/completions (it often ends in /v1)",
    )


def _busy(said: str, options: JudgeOptions, row: int, place: str) -> Problem:
    return Problem(
        code="judge.busy",
        message=f"the judge's endpoint {options.base_url} takes no more requests (asked about row {row})",
        place=place,
        found=f"{said}; up to {options.attempts} attempts",
        fix="lower `max_parallel`, raise `attempts`, or check the account's quota; verdicts so far are in the cache",
    )


def _failing(said: str, options: JudgeOptions, row: int, place: str) -> Problem:
    return Problem(
        code="judge.endpoint-failed",
        message=f"the judge's endpoint {options.base_url} failed on row {row}",
        place=place,
        found=f"{said}; up to {options.attempts} attempts",
        fix="try again later, or raise `attempts`; verdicts so far are in the cache",
    )


def _silent(options: JudgeOptions, row: int, place: str) -> Problem:
    return Problem(
        code="judge.timeout",
        message=f"the judge's endpoint {options.base_url} did not answer about row {row} in time",
        place=place,
        field="timeout",
        found=f"{options.timeout:g} s of silence, {options.attempts} attempts",
        fix="raise `timeout`, or lower `max_parallel`",
    )


def _unreachable(error: Exception, options: JudgeOptions, place: str) -> Problem:
    return Problem(
        code="judge.unreachable",
        message=f"the judge's endpoint {options.base_url} cannot be reached",
        place=place,
        field="base_url",
        found=shortened(str(error.__cause__ or error)) or "a broken connection",
        fix="check the address and that the server runs; a proxy is used only where the recipe names one as `proxy`",
    )


def other_protocol(options: JudgeOptions, row: int, place: str) -> Problem:
    """The problem of a reply that is no chat completion."""
    return Problem(
        code="judge.other-protocol",
        message=f"what {options.base_url} answered about row {row} is no chat completion",
        place=place,
        field="base_url",
        fix="check that `base_url` is what stands before /chat/completions (it often ends in /v1)",
    )


def too_dear(options: JudgeOptions, spent: str, place: str) -> Problem:
    """The problem of a bound of cost that is reached."""
    return Problem(
        code="judge.max-cost",
        message=f"judging has cost max_cost ({options.max_cost:g}) before every answer was judged",
        place=place,
        field="max_cost",
        found=spent,
        fix="raise `max_cost` or score fewer rows; verdicts so far are in the cache and cost nothing again",
    )


def cost_unknown(options: JudgeOptions, place: str) -> Problem:
    """The problem of an endpoint that counts no tokens where a bound of cost is to be kept."""
    return Problem(
        code="judge.no-token-count",
        message=f"the judge's endpoint {options.base_url} does not say how many tokens it used",
        place=place,
        field="max_cost",
        fix="delete `max_cost`, which cannot be kept here",
    )


def unjudged(failures: Mapping[int, Exception], place: str) -> list[Problem]:
    """The problems of rows that got no verdict, in the rows' order."""
    return [
        Problem(
            code="judge.no-verdict",
            message=f"row {row}: the judge gave no verdict",
            place=place,
            found=str(failure),
            fix="read the row; if it is sound, make the rubric clearer or take another judge",
        )
        for row, failure in sorted(failures.items())
    ]


def rubric_unreadable(path: Path, why: str, place: str) -> Problem:
    """The problem of a rubric's file."""
    return Problem(
        code="judge.rubric-unreadable",
        message=f"the rubric cannot be read: {path}",
        place=place,
        field="rubric_file",
        found=why,
        allowed="a text file in UTF-8 that is not empty, relative to the recipe's folder",
        fix="correct the path or the file",
    )


def no_question(row: int, place: str) -> Problem:
    """The problem of a row that is plain text."""
    return Problem(
        code="judge.no-question",
        message=f"row {row} is plain text without question and answer, so there is nothing to judge",
        place=place,
        allowed="conversations, or rows of prompt and completion",
        fix="give other test rows, or leave llm_judge out",
    )
