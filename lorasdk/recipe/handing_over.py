"""A recipe for another process: as JSON, with its places and its secrets, and back to an equal one.

Unlike everything else that writes a recipe, this opens the secrets. It is for a pipe between two processes of one user
and never for a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from lorasdk.recipe.plain import plain_data, without_secrets
from lorasdk.recipe.recipe import Location, Origin, Recipe


def recipe_with_secrets(recipe: Recipe) -> dict[str, Any]:
    """Everything a recipe holds, as JSON-able data. It holds secrets in the clear."""
    plain = plain_data(recipe)
    origin = recipe.origin
    return {
        "values": without_secrets(plain),
        "secrets": _listed(dict(_secrets(plain, ()))),
        "base_dir": str(origin.base_dir),
        "places": _listed(origin.places),
        "keys": _listed(origin.keys),
        "references": _listed(origin.references),
    }


def recipe_handed_over(data: Mapping[str, Any]) -> Recipe:
    """The recipe that `recipe_with_secrets` wrote."""
    values = data["values"]
    for location, secret in data["secrets"]:
        part = values
        for key in location[:-1]:
            part = part[key]
        part[location[-1]] = SecretStr(secret)
    places, keys, references = (
        {tuple(at): text for at, text in data[name]} for name in ("places", "keys", "references")
    )
    return Recipe.model_validate(values).with_origin(Origin(Path(data["base_dir"]), places, keys, references))


def _secrets(value: Any, location: Location) -> Iterator[tuple[Location, str]]:  # noqa: ANN401 - plain data
    if isinstance(value, SecretStr):
        yield location, value.get_secret_value()
    elif isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _secrets(item, (*location, key))


def _listed(by_location: Mapping[Location, str]) -> list[list[Any]]:
    return [[list(location), text] for location, text in by_location.items()]
