"""Turns pydantic's findings into problems that say where, what was found, what is allowed and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr, ValidationError

from lorasdk.errors import Problem
from lorasdk.recipe.allowed import Allowed
from lorasdk.recipe.rules import RULE, Breach
from lorasdk.recipe.spellings import BIT_FLAGS, suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from lorasdk.recipe.recipe import Location

MAX_FOUND = 80
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the words of a problem need beside pydantic's finding."""

    place: Callable[[Location, bool], str]
    """Gives ``file:line:column`` of a field: of its key (True) or of its value (False)."""
    homes: Callable[[], Mapping[str, str]]
    """Gives, for a key, the one or more places of a recipe where it belongs; asked only when something is wrong."""
    prefix: Location = ()
    """Location of the model inside the recipe."""
    also: Callable[[], Sequence[str]] = tuple
    """Gives keys that are allowed beside the model's own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, and what the search for more needs to know about it."""

    problem: Problem
    location: Location
    """Where it is, inside the model."""
    rule: bool = False
    """Whether it is a rule about several fields."""
    speaks_about: tuple[Location, ...] = ()
    """For a rule: the fields it compares."""


def explain(error: ValidationError, model: type[BaseModel], *, place: Callable[[Location, bool], str]) -> list[Problem]:
    """One problem per faulty field and per broken rule of a section that is no part of a recipe being read.

    Args:
        error: what pydantic found.
        model: what it validated against.
        place: where fields stand: of the key (True) or of the value (False).
    """
    found = findings(error, model, _inputs(error), Context(place=place, homes=dict))
    return list(dict.fromkeys(finding.problem for finding in found))


def _inputs(error: ValidationError) -> dict[int | str, Any]:
    """What pydantic was given, as far as it complains about it."""
    inputs: dict[int | str, Any] = {}
    for detail in error.errors(include_url=False):
        *parents, last = detail["loc"] or ("",)
        target = inputs
        for part in parents:
            target = target.setdefault(part, {})
        target[last] = detail["input"]
    return inputs


def findings(error: ValidationError, model: type[BaseModel], data: object, context: Context) -> list[Finding]:
    """Give one finding per faulty field and one per broken rule."""
    allowed = Allowed.by(model)
    found: dict[tuple[Location, str], Finding] = {}
    details = error.errors(include_url=False)
    flags = [
        detail["loc"] for detail in details if detail["type"] == "extra_forbidden" and detail["loc"][-1] in BIT_FLAGS
    ]
    for detail in details:
        location = _location(detail, data)
        if detail["type"] == RULE:
            new = [_broken_rule(breach, location, context) for breach in detail["ctx"]["breaches"]]
        elif len(flags) > 1 and location in flags:
            new = [Finding(_both_flags(flags[0], context), location)]
        elif detail["type"] == "extra_forbidden":
            new = [_unknown_key(location, allowed, context)]
        elif detail["type"] == "missing":
            new = [_missing(location, allowed, context)]
        else:
            new = [_wrong_value(detail, location, data, allowed, context)]
        for finding in new:
            found.setdefault((finding.location, finding.problem.code), finding)
    return _one_per_union(list(found.values()))


def _location(detail: ErrorDetails, data: Any) -> Location:  # noqa: ANN401 - plain data
    """The part of pydantic's location that stands in the data; the rest names members of unions and validators."""
    kept: Location = ()
    for part in detail["loc"]:
        inside = (
            part in data if isinstance(data, Mapping) else isinstance(data, list | tuple) and part in range(len(data))
        )
        if inside:
            kept, data = (*kept, part), data[part]
    return (*kept, detail["loc"][-1]) if detail["type"] == "missing" else kept


def _one_per_union(found: list[Finding]) -> list[Finding]:
    """Members of a union each complain: keep the one that looked deepest."""
    values = [finding for finding in found if finding.problem.code == "recipe.bad-value"]
    return [
        finding
        for finding in found
        if finding not in values
        or not any(
            other.location != finding.location and other.location[: len(finding.location)] == finding.location
            for other in values
        )
    ]


def _unknown_key(location: Location, allowed: Allowed, context: Context) -> Finding:
    *parents, key = location
    section = (*context.prefix, *parents)
    known = [*allowed.keys(tuple(parents)), *context.also()]
    problem = Problem(
        code="recipe.unknown-key",
        message=f"unknown key {key!r}",
        place=context.place((*section, key), True),
        field=dotted((*section, key)),
        allowed=", ".join(known),
        fix=suggest(str(key), known, section=dotted(section), homes=context.homes()),
    )
    return Finding(problem, location)


def _both_flags(location: Location, context: Context) -> Problem:
    full = (*context.prefix, *location)
    return Problem(
        code="recipe.both-given",
        message=f"{' and '.join(BIT_FLAGS)} are given together, but a model is held in one of the two",
        place=context.place(full, True),
        field=dotted(full),
        allowed="one base_model.quantization",
        fix="delete both and write base_model.quantization: nf4 (4 bits) or int8 (8 bits)",
    )


def _missing(location: Location, allowed: Allowed, context: Context) -> Finding:
    full = (*context.prefix, *location)
    words = allowed.words(location)
    problem = Problem(
        code="recipe.missing-key",
        message=f"the key {location[-1]!r} is required",
        place=context.place(full[:-1], False),
        field=dotted(full),
        found="nothing",
        allowed=words,
        fix=f"add `{location[-1]}: …`",
    )
    return Finding(problem, location)


def _broken_rule(breach: Breach, section: Location, context: Context) -> Finding:
    fields = tuple((*section, *inner) for inner in breach.fields)
    full = (*context.prefix, *fields[0])
    problem = Problem(
        breach.code, breach.message, context.place(full, True), dotted(full), "", breach.allowed, breach.fix
    )
    return Finding(problem, fields[0], rule=True, speaks_about=fields)


def _wrong_value(detail: ErrorDetails, location: Location, data: object, allowed: Allowed, context: Context) -> Finding:
    full = (*context.prefix, *location)
    found = _at(data, location)
    own_words = detail["type"] == "value_error"
    problem = Problem(
        code="recipe.bad-value",
        message=str(detail["ctx"]["error"]) if own_words else _reason(detail["type"]),
        place=context.place(full, False),
        field=dotted(full),
        found="a secret" if allowed.secret(location) else shown(found),
        allowed="" if own_words else allowed.words(location),
        fix="change it as the message says" if own_words else _fix(found, allowed.choices(location)),
    )
    return Finding(problem, location, rule=own_words, speaks_about=(location,))


def _at(data: Any, location: Location) -> object:  # noqa: ANN401 - plain data
    for part in location:
        data = data[part]
    return data


def _reason(kind: str) -> str:
    if kind == "finite_number":
        return "must be finite"
    if kind.startswith(("greater_", "less_")) or kind.endswith(("too_short", "too_long")):
        return "out of range"
    if kind in {"literal_error", "enum", "string_pattern_mismatch"}:
        return "not an allowed value"
    return "wrong type"


def _fix(found: object, choices: Sequence[str]) -> str:
    near = get_close_matches(str(found), choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "write a value, or delete the key" if found is None else "write one of the allowed values"


def shown(value: object) -> str:
    """A value as it is quoted in a problem: its type, and as much of it as fits into a line."""
    if isinstance(value, SecretStr):
        return "a secret"
    if isinstance(value, Mapping):
        return "a mapping"
    if value is None:
        return "nothing (null)"
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= MAX_FOUND else text[: MAX_FOUND - 1] + "…"


def dotted(location: Location) -> str:
    """The location as a recipe's reader says it, such as ``data.train.path``."""
    return ".".join(map(str, location))
