"""Validates data against a model so that every problem is found in one go.

Pydantic looks at rules about several fields only once each single field is right. So what is wrong is set aside and
the rest is validated again, until nothing new turns up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lorasdk.errors import Problem
from lorasdk.recipe.explaining import Context, Finding, findings
from lorasdk.recipe.recipe import Location

Model = TypeVar("Model", bound=BaseModel)

MAX_ROUNDS = 5
"""Sections are nested three deep, so rules depend on each other no deeper than that."""


def judge(
    model: type[Model], data: Mapping[str, Any], context: Context, *, stand_ins: Mapping[Location, object]
) -> tuple[Model | None, list[Problem]]:
    """Give the validated model, or everything that is wrong with `data`.

    Args:
        model: what to validate against.
        data: plain data; not changed.
        context: where things stand, for the problems.
        stand_ins: for required fields, a value that lets the search go on without them.
    """
    found: list[Finding] = []
    rest: Any = data
    for _ in range(MAX_ROUNDS):
        try:
            result = model.model_validate(rest)
        except ValidationError as error:
            new = [finding for finding in findings(error, model, rest, context) if _is_news(finding, found)]
        else:
            return (None if found else result), _problems(found)
        if not new:
            break
        found += new
        for finding in new:
            rest = _without(rest, finding.location, stand_ins)
    return None, _problems(found)


def _problems(found: list[Finding]) -> list[Problem]:
    return list(dict.fromkeys(finding.problem for finding in found))


def _is_news(finding: Finding, found: list[Finding]) -> bool:
    """Whether it is no consequence of what was set aside before: such things are missing now, or changed by default."""
    if not found:
        return True
    known = [other.location for other in found]
    return finding.rule and not any(
        old[: len(spoken)] == spoken or spoken[: len(old)] == old for old in known for spoken in finding.speaks_about
    )


def _without(data: Any, location: Location, stand_ins: Mapping[Location, object], here: Location = ()) -> Any:  # noqa: ANN401 - plain data
    """A copy of `data` that lacks `location`, or the whole list that it is in."""
    if here in stand_ins and here == location:
        return stand_ins[here]
    if not isinstance(data, Mapping) or len(here) >= len(location):
        return data
    key = location[len(here)]
    inner = (*here, key)
    child = data.get(key)
    if inner in stand_ins and (inner == location or not isinstance(child, Mapping)):
        return {**data, key: stand_ins[inner]}
    if inner == location or not isinstance(child, Mapping):
        return {other: value for other, value in data.items() if other != key}
    return {**data, key: _without(child, location, stand_ins, inner)}
