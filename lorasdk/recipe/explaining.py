"""Turns pydantic's findings into problems that say where, what was found, what is allowed and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from lorasdk.errors import Problem
from lorasdk.recipe.allowed import allowed_keys, describe, is_secret, true_location
from lorasdk.recipe.spellings import suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from lorasdk.recipe.recipe import Location

Place = Callable[["Location", bool], str]
"""Gives ``file:line:column`` of a field: of its key (True) or of its value (False)."""

MAX_FOUND = 80
FLAGS_4_8 = ("load_in_4bit", "load_in_8bit")


def explain(
    error: ValidationError, model: type[BaseModel], *, place: Place, prefix: Location = (), also: Sequence[str] = ()
) -> list[Problem]:
    """One problem per faulty field.

    Args:
        error: what pydantic found.
        model: what it validated against.
        place: where fields stand.
        prefix: location of `model` inside the recipe.
        also: further keys that are allowed beside the model's own, for suggestions.
    """
    problems: dict[tuple[Location, str], Problem] = {}
    details = error.errors(include_url=False)
    both = {str(d["loc"][-1]) for d in details if d["type"] == "extra_forbidden"}.issuperset(FLAGS_4_8)
    for detail in details:
        location = true_location(model, detail["loc"]) or detail["loc"][:-1]
        unknown = detail["type"] == "extra_forbidden"
        if unknown and both and detail["loc"][-1] == FLAGS_4_8[1]:
            continue
        if unknown:
            problem = _unknown_key(detail, model, place, prefix, also, both=both)
        elif detail["type"] == "missing":
            problem = _missing(detail, model, place, prefix)
        else:
            problem = _wrong_value(detail, model, location, place, prefix)
        problems.setdefault((detail["loc"] if unknown else location, problem.code), problem)
    return list(problems.values())


def _unknown_key(
    detail: ErrorDetails, model: type[BaseModel], place: Place, prefix: Location, also: Sequence[str], *, both: bool
) -> Problem:
    *parents, key = detail["loc"]
    allowed = [*allowed_keys(model, tuple(parents)), *also]
    where = (*prefix, *parents)
    fix = suggest(str(key), allowed, section=_dotted(where))
    message = f"unknown key {key!r}"
    if both and key in FLAGS_4_8:
        message = "load_in_4bit and load_in_8bit contradict each other, and a recipe says neither so"
        fix = "delete both and write base_model.quantization: nf4 (or int8)"
    return Problem(
        code="recipe.unknown-key",
        message=message,
        place=place((*where, key), True),
        field=_dotted((*where, key)),
        found=_shown(detail["input"]),
        allowed=", ".join(allowed),
        fix=fix,
    )


def _missing(detail: ErrorDetails, model: type[BaseModel], place: Place, prefix: Location) -> Problem:
    location = (*prefix, *detail["loc"])
    return Problem(
        code="recipe.missing-key",
        message="this key is required",
        place=place(location[:-1], False),
        field=_dotted(location),
        allowed=describe(model, detail["loc"]),
        fix=f"add {detail['loc'][-1]}: …",
    )


def _wrong_value(
    detail: ErrorDetails, model: type[BaseModel], location: Location, place: Place, prefix: Location
) -> Problem:
    full = (*prefix, *location)
    rule = detail["type"] == "value_error"
    reason = str(detail["ctx"]["error"]) if rule else _reason(detail["type"])
    secret = is_secret(model, location)
    return Problem(
        code="recipe.inconsistent" if rule and isinstance(detail["input"], Mapping | BaseModel) else "recipe.bad-value",
        message=reason,
        place=place(full, False),
        field=_dotted(full),
        found="a secret" if secret else _shown(detail["input"]),
        allowed="" if isinstance(detail["input"], Mapping | BaseModel) and rule else describe(model, location),
        fix="" if rule else "write a value of this kind",
    )


def _reason(kind: str) -> str:
    if kind == "finite_number":
        return "must be finite"
    if kind.startswith(("greater", "less", "too_")) or kind.endswith(("too_short", "too_long")):
        return "out of range"
    if kind in {"literal_error", "enum", "string_pattern_mismatch"}:
        return "not an allowed value"
    return "wrong type"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= MAX_FOUND else text[: MAX_FOUND - 1] + "…"


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))
