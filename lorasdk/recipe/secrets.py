"""Lets secrets into a recipe only as ``${env:NAME}``, and only where a field is declared secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from lorasdk.errors import Problem
from lorasdk.recipe.recipe import SECRETS, Location

_REFERENCE = re.compile(r"\$\{env:(\w+)\}")
OPEN = (("data", "train"), ("data", "validation"), ("data", "test"), ("evaluation", "evaluators"))
"""Where components' options stand; their own models say which of them are secret."""


def resolve_secret(value: object, *, field: str, place: str) -> tuple[str | None, Problem | None]:
    """Read the variable that a secret field names: its value, or what is wrong with the field."""
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None, Problem(
            code="recipe.literal-secret",
            message="a secret must not stand in a recipe",
            place=place,
            field=field,
            found="a literal value",
            allowed="a reference to an environment variable, ${env:NAME}",
            fix=f"set an environment variable and write {field.rsplit('.', 1)[-1]}: ${{env:NAME}}",
        )
    found = os.environ.get(match[1])
    if found is not None:
        return found, None
    return None, Problem(
        code="recipe.undefined-variable",
        message=f"the environment variable {match[1]} is not set",
        place=place,
        field=field,
        found=str(value),
        fix=f"export {match[1]}=… before starting the program",
    )


def stray_references(data: object, places: Mapping[Location, str]) -> list[Problem]:
    """Problems for ``${env:…}`` in fields that are not secret: a recipe cannot reach into the environment."""
    return [
        Problem(
            code="recipe.environment",
            message="only fields declared secret may refer to the environment",
            place=places.get(location, ""),
            field=".".join(map(str, location)),
            found=text,
            allowed=f"${{env:NAME}} in {_names(SECRETS)} or a component's secret option",
            fix="write the value itself, or pass it as an override from your program",
        )
        for location, text in _texts(data, ())
        if _REFERENCE.search(text) and location not in SECRETS and location[:2] not in OPEN
    ]


def _names(locations: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(".".join(location) for location in locations)


def _texts(value: object, location: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*location, str(key)))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _texts(item, (*location, i))
