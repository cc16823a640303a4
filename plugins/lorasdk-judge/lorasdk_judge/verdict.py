"""What a judge says: a reason, then a score. Read strictly, for a score must never be made up."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lorasdk_judge.options import JudgeOptions

MOST_SHOWN = 200
"""Characters of a judge's words that a message quotes."""

_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


class Verdict(BaseModel):
    """A judge's verdict on one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    reason: str
    """Why, in the judge's words."""
    score: int
    """From the recipe's `lowest` to `highest`."""


class NoVerdictError(ValueError):
    """What a judge said is no verdict; the message says why, in words that a judge can act on."""


def read_verdict(text: str, options: JudgeOptions) -> Verdict:
    """Read a verdict: one JSON object, at most inside one code fence, with a score on the scale.

    Raises:
        NoVerdictError: it is anything else.
    """
    stripped = text.strip()
    fenced = _FENCED.fullmatch(stripped)
    try:
        verdict = Verdict.model_validate_json(fenced[1] if fenced else stripped)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NoVerdictError(f"it is no verdict in JSON: {where}{': ' if where else ''}{first['msg']}") from error
    if not options.lowest <= verdict.score <= options.highest:
        raise NoVerdictError(f"its score {verdict.score} is not from {options.lowest} to {options.highest}")
    return verdict


def normalised(verdict: Verdict, options: JudgeOptions) -> float:
    """The score as a share of the scale: 0 for `lowest`, 1 for `highest`."""
    return (verdict.score - options.lowest) / (options.highest - options.lowest)


def verdict_schema(options: JudgeOptions) -> dict[str, Any]:
    """JSON Schema of a verdict, in the subset that endpoints enforce; the reason comes before the score it leads to."""
    return {
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "score": {"type": "integer", "enum": list(range(options.lowest, options.highest + 1))},
        },
        "required": ["reason", "score"],
        "additionalProperties": False,
    }


def shortened(text: str) -> str:
    """The beginning of `text` on one line, for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST_SHOWN else flat[:MOST_SHOWN] + "…"
