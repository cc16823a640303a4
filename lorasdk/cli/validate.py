"""`lorasdk validate`: is the recipe right?"""

from __future__ import annotations

from lorasdk.cli.arguments import Json, Recipe, Set
from lorasdk.cli.output import print_json, results_console
from lorasdk.finetuner import FineTuner


def validate(recipe: Recipe, set_: Set = None, json: Json = False) -> None:
    """Check a recipe, its components and its files, without loading a model or reading rows."""
    tuner = FineTuner.from_recipe(recipe, overrides=set_ or ())
    if json:
        print_json({"valid": True, "name": tuner.recipe.name, "fingerprint": tuner.recipe.fingerprint})
    else:
        results_console().print(f"{recipe} is valid: {tuner.recipe.name} ({tuner.recipe.fingerprint[:12]})")
