"""WHAT to do: the recipe, pure data. No torch, no plugins."""

from lorasdk.recipe.json_schema import recipe_schema
from lorasdk.recipe.loading import load_recipe
from lorasdk.recipe.options import validate_options
from lorasdk.recipe.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_schema", "validate_options"]
