"""Lets secrets into a recipe only as ``${env:NAME}``, and only where a field is declared secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from lorasdk.errors import Problem
from lorasdk.recipe.recipe import SECRETS, Location, Origin, is_reference
from lorasdk.recipe.schema import DataSource, EvaluatorSpec

_REFERENCE = re.compile(r"\$\{env:(\w+)\}")
MARK = "${env:"
"""What every reference to the environment contains."""
_OPTIONS = (
    (("data", "train"), 3, frozenset(DataSource.model_fields)),
    (("data", "validation"), 3, frozenset(DataSource.model_fields)),
    (("data", "test"), 3, frozenset(DataSource.model_fields)),
    (("evaluation", "evaluators"), 4, frozenset(EvaluatorSpec.model_fields)),
)
"""Where components' options stand, at which depth, beside which keys; their own models say which are secret."""


def resolve_secret(value: object, *, field: str, place: str) -> tuple[SecretStr | None, Problem | None]:
    """Read the variable that a secret field names: its value, or what is wrong with the field."""
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    name = field.rsplit(".", 1)[-1]
    if match is None:
        return None, Problem(
            code="recipe.literal-secret",
            message="a secret must not stand in a recipe",
            place=place,
            field=field,
            found="a literal value",
            allowed="a reference to an environment variable, ${env:NAME}; in code also a pydantic.SecretStr",
            fix=f"set an environment variable and write {name}: ${{env:{_variable(name)}}}",
        )
    if secret := os.environ.get(match[1]):
        return SecretStr(secret), None
    return None, Problem(
        code="recipe.undefined-variable",
        message=f"the environment variable {match[1]} is {'not set' if secret is None else 'empty'}",
        place=place,
        field=field,
        found=match[0],
        allowed="the name of a variable that is set",
        fix=f"export {match[1]}=… before starting the program, or delete {name}",
    )


def _variable(name: str) -> str:
    # The hub's own name for its token, which many have set already.
    return "HF_TOKEN" if name == "token" else name.upper()


def stray_references(data: object, origin: Origin) -> list[Problem]:
    """Problems for ``${env:…}`` in fields that are not secret: a recipe cannot reach into the environment."""
    return [
        stray_reference(text, field=".".join(map(str, location)), place=origin.place(location))
        for location, text in texts(data, ())
        if MARK in text and location not in SECRETS and not _is_option(location, text)
    ]


def stray_reference(text: str, *, field: str, place: str) -> Problem:
    """The problem of a reference that stands where none may."""
    return Problem(
        code="recipe.environment",
        message="only fields declared secret may refer to the environment",
        place=place,
        field=field,
        found=text[:80],
        allowed="${env:NAME} in base_model.token or in a component's secret option",
        fix="write the value itself, or pass it as an override from your program",
    )


def texts(value: Any, location: Location) -> Iterator[tuple[Location, str]]:  # noqa: ANN401 - plain data
    """Every text inside plain data, with its location."""
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*location, str(key)))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from texts(item, (*location, i))


def _is_option(location: Location, text: str) -> bool:
    return is_reference(text) and any(
        location[:2] == where and len(location) == depth and location[-1] not in own for where, depth, own in _OPTIONS
    )
