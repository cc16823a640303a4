"""Changes single fields of a recipe's data from outside: ``lora.rank=4`` on a command line, or a mapping in code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.plain import plain_data
from lorasdk.recipe.reading import read_document
from lorasdk.recipe.recipe import Location, Origin

Overrides: TypeAlias = Mapping[str, object] | Sequence[str]
"""``["lora.rank=4"]``, or ``{"lora.rank": 4}``."""


def apply_overrides(data: dict[str, Any], overrides: Overrides, origin: Origin) -> Origin:
    """Set the fields in `data`, in place.

    Returns:
        The origin in which each field that was set has its override as its place.

    Raises:
        RecipeError: every override that is no ``section.field=value``.
    """
    problems: list[Problem] = []
    for dotted, value in _parsed(overrides, problems):
        location, problem = _set(data, dotted, value)
        origin = _replaced(origin, location, f"override {dotted}")
        problems += [problem] if problem else []
    if problems:
        raise RecipeError(*problems)
    return origin


def _parsed(overrides: Overrides, problems: list[Problem]) -> Iterator[tuple[str, object]]:
    if isinstance(overrides, Mapping):
        yield from ((str(dotted), plain_data(value)) for dotted, value in overrides.items())
        return
    for text in [overrides] if isinstance(overrides, str) else overrides:
        dotted, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and value) or not all(dotted.split(".")):
            problems.append(_incomplete(dotted, equals, value))
            continue
        try:
            # The value is not quoted in places, as it may be a secret.
            yield dotted, read_document(value, name=f"override {dotted}").data
        except RecipeError as error:
            problems.extend(error.problems)


def _incomplete(dotted: str, equals: str, value: str) -> Problem:
    missing = "field missing" if not all(dotted.split(".")) else "value missing"
    return Problem(
        code="recipe.bad-override",
        message=f"{missing}: an override is section.field=value",
        place=f"override {dotted}{equals}",
        field=dotted,
        found="nothing" if missing == "value missing" or not value else f"{dotted or 'nothing'} before the =",
        allowed="section.field=value, such as lora.rank=4",
        fix=f"write {dotted}=…; {dotted}=null empties an optional field" if value == "" else "write the field's name",
    )


def _set(data: dict[str, Any], dotted: str, value: object) -> tuple[Location, Problem | None]:
    """Walk down to the field, opening short forms and missing sections on the way, and set it."""
    target: Any = data
    location: Location = ()
    *sections, last = dotted.split(".")
    for part in sections:
        key = _key(target, part)
        if key is None:
            return location, _no_item(dotted, part, target)
        location = (*location, key)
        target = _open(target, key, location)
    key = _key(target, last)
    if key is None:
        return location, _no_item(dotted, last, target)
    _put(target, key, value)
    return (*location, key), None


def _key(target: dict[str, Any] | list[Any], part: str) -> str | int | None:
    if isinstance(target, dict):
        return part
    return int(part) if part.isascii() and part.isdigit() and int(part) < len(target) else None


def _put(target: Any, key: str | int, value: object) -> None:  # noqa: ANN401 - plain data
    target[key] = value


def _open(target: Any, key: str | int, location: Location) -> Any:  # noqa: ANN401 - plain data
    """Step into a field, so that something can be set in it."""
    inner = target.get(key) if isinstance(target, dict) else target[key]
    _put(target, key, _opened(inner, location))
    return target[key]


def _opened(value: object, location: Location) -> dict[str, Any] | list[Any]:
    """What a field can be set in: the section itself, or what a short form is short for."""
    if isinstance(value, dict | list):
        return value
    if isinstance(value, str) and location[0] == "data":
        return {"path": value}
    return {"name": value} if isinstance(value, str) and location[:2] == ("evaluation", "evaluators") else {}


def _no_item(dotted: str, part: str, items: Sequence[object]) -> Problem:
    return Problem(
        code="recipe.bad-override",
        message=f"{part!r} is no item of this list",
        place=f"override {dotted}",
        field=dotted,
        found=part,
        allowed=f"0 to {len(items) - 1}" if items else "nothing, the list is empty",
        fix="give the item's number, or set the whole list as [first, second]",
    )


def _replaced(origin: Origin, location: Location, place: str) -> Origin:
    """Forget where the replaced values stood; a section that the override created is its doing too."""
    kept = {at: old for at, old in origin.places.items() if at[: len(location)] != location}
    keys = {at: old for at, old in origin.keys.items() if at[: len(location)] != location}
    references = {at: old for at, old in origin.references.items() if at[: len(location)] != location}
    made = {location[:depth]: place for depth in range(1, len(location) + 1)}
    return replace(origin, places={**made, **kept}, keys={**made, **keys}, references=references)
