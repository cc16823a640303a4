"""Where in a recipe each key belongs, for whoever wrote it into the wrong section."""

from __future__ import annotations

from lorasdk.recipe.allowed import Allowed
from lorasdk.recipe.recipe import Recipe


def recipe_homes() -> dict[str, str]:
    """Key to its dotted places, such as ``{"seed": "training.seed or generation.seed"}``."""
    homes: dict[str, list[str]] = {}
    for location in Allowed.by(Recipe).locations():
        homes.setdefault(str(location[-1]), []).append(".".join(map(str, location)))
    return {key: " or ".join(places) for key, places in homes.items()}
