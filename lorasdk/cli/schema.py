"""`lorasdk schema`: the recipe's JSON Schema, for editors."""

from __future__ import annotations

from lorasdk.cli.output import print_json
from lorasdk.plugins import build_manager
from lorasdk.recipe import recipe_schema


def schema() -> None:
    """Print the JSON Schema of a recipe, options of installed components included."""
    manager = build_manager()
    loaders = {name: offer.component.Options for name, offer in manager.loaders.everything().items()}
    evaluators = {name: offer.component.Options for name, offer in manager.evaluators.everything().items()}
    print_json(recipe_schema(loaders=loaders, evaluators=evaluators))
