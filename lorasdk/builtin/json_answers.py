"""JSON inside answers: where it may stand, what a path leads to, and when two values are equal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeAlias

Where: TypeAlias = Literal["answer", "fence", "anywhere"]
"""The whole answer; also one block of three backticks; also the first object in the text."""

FENCE = re.compile(r"\s*```[^\n`]*\n(?P<inside>.*?)```\s*", re.DOTALL)
MISSING = object()
"""Stands for a value that is not there: null is one that is."""
ROUNDING = 1 + 1e-9
"""0.4 - 0.3 is a little more than 0.1 and shall be within a tolerance of it."""


def object_in(text: str, where: Where) -> dict[str, Any] | None:
    """The JSON object in a text; None where there is none in the place it may stand."""
    found = _object(text)
    if found is None and where != "answer":
        block = FENCE.fullmatch(text)
        found = _object(block["inside"]) if block else None
    return _first_object(text) if found is None and where == "anywhere" else found


def value_at(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """Follow a dotted path, through objects by key and through lists by number from 0; or `MISSING`."""
    for key in path.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and re.fullmatch("[0-9]{1,9}", key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value


def equal(one: Any, other: Any, *, tolerance: float, alike: Callable[[str], str]) -> bool:  # noqa: ANN401 - JSON
    """Whether two JSON values are equal.

    Args:
        one: a value as `json` reads it, or `MISSING`.
        other: the same.
        tolerance: by how much numbers may differ.
        alike: normalises texts before they are compared.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            equal(one[key], other[key], tolerance=tolerance, alike=alike) for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            equal(a, b, tolerance=tolerance, alike=alike) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, str) and isinstance(other, str):
        return alike(one) == alike(other)
    if _is_number(one) and _is_number(other):
        return _close(one, other, tolerance)
    return one is other  # true, false, null and what is missing are each one object


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _close(one: float, other: float, tolerance: float) -> bool:
    try:
        return one == other or abs(one - other) <= tolerance * ROUNDING
    except OverflowError:  # a whole number beyond all floats, beside a float
        return False


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _first_object(text: str) -> dict[str, Any] | None:
    """The first that can be read from some brace on."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    at = text.find("{")
    while at >= 0:
        try:
            found: dict[str, Any] = decoder.raw_decode(text, at)[0]
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
        else:
            return found
    return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")
