"""Changes single fields of a recipe's data from outside: ``lora.rank=4`` on a command line, or a mapping in code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lorasdk.errors import LorasdkError, Problem, RecipeError
from lorasdk.recipe.reading import read_document
from lorasdk.recipe.recipe import Location

Overrides = Mapping[str, object] | Sequence[str]

SOURCES = (("data", "train"), ("data", "validation"), ("data", "test"))
"""Fields whose text is short for a mapping with a path."""


def apply_overrides(data: dict[str, object], overrides: Overrides) -> dict[Location, str]:
    """Set the fields in `data`, in place.

    Returns:
        The place of each field that was set: the override itself.

    Raises:
        RecipeError: an override is no ``section.field=value``.
    """
    places: dict[Location, str] = {}
    problems: list[Problem] = []
    for written, location, value in _parsed(overrides, problems):
        _set(data, location, value)
        places[location] = written
    if problems:
        raise RecipeError(*problems)
    return places


def _parsed(overrides: Overrides, problems: list[Problem]) -> Iterable[tuple[str, Location, object]]:
    if isinstance(overrides, Mapping):
        yield from ((f"override {key}", tuple(key.split(".")), value) for key, value in overrides.items())
        return
    for text in overrides:
        path, equals, value = text.partition("=")
        if not (path.strip() and equals and value.strip()):
            problems.append(_incomplete(text, path))
            continue
        try:
            parsed = read_document(value, name=f"override {text}").data
        except LorasdkError as error:
            problems.extend(error.problems)
            continue
        yield f"override {text}", tuple(path.strip().split(".")), parsed


def _incomplete(text: str, path: str) -> Problem:
    missing = "the name of the field" if not path.strip() else "the value"
    return Problem(
        code="recipe.bad-override",
        message=f"{missing} is missing",
        place=f"override {text}",
        found=repr(text),
        allowed="section.field=value",
        fix=f"write {path.strip() or 'lora.rank'}=… ; null empties an optional field",
    )


def _set(data: dict[str, object], location: Location, value: object) -> None:
    target: object = data
    for depth, part in enumerate(location[:-1]):
        here = location[: depth + 1]
        inner = _child(target, part)
        if isinstance(inner, str) and here in SOURCES:
            inner = {"path": inner}
        inner = list(inner) if isinstance(inner, list) else dict(inner) if isinstance(inner, Mapping) else {}
        _put(target, part, inner)
        target = inner
    _put(target, location[-1], value)


def _child(target: object, part: str | int) -> object:
    if isinstance(target, list):
        index = _index(target, part)
        return target[index] if index is not None else None
    return target.get(part) if isinstance(target, dict) else None


def _put(target: object, part: str | int, value: object) -> None:
    if isinstance(target, list):
        index = _index(target, part)
        if index is not None:
            target[index] = value
            return
        target.append({str(part): value})  # validation then says what a list item may be
    elif isinstance(target, dict):
        target[part] = value


def _index(items: list[object], part: str | int) -> int | None:
    return int(part) if str(part).isdecimal() and int(part) < len(items) else None
