"""Validates the options that a recipe gives to a component, with the component's own model and the recipe's places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.allowed import allowed_keys, is_secret
from lorasdk.recipe.explaining import explain
from lorasdk.recipe.recipe import Location, Recipe
from lorasdk.recipe.secrets import resolve_secret

Options = TypeVar("Options", bound=BaseModel)


def validate_options(
    model: type[Options], options: Mapping[str, object], *, recipe: Recipe, location: Location
) -> Options:
    """Make the component's options from what the recipe says at `location`.

    Args:
        model: the component's closed ``Options``.
        options: the keys that are not the section's own.
        recipe: for places in messages.
        location: where the options stand, such as ``("data", "train")``.

    Raises:
        RecipeError: every problem of these options.
    """
    resolved, problems = _resolve_secrets(model, options, recipe, location)
    try:
        validated = model.model_validate(resolved)
    except ValidationError as error:
        own = [key for key in allowed_keys(Recipe, location) if key not in options]
        problems += explain(error, model, place=lambda where, _key: recipe.place(*where), prefix=location, also=own)
    if problems:
        raise RecipeError(*problems)
    return validated


def _resolve_secrets(
    model: type[BaseModel], options: Mapping[str, object], recipe: Recipe, location: Location
) -> tuple[dict[str, object], list[Problem]]:
    resolved, problems = dict(options), []
    for key, value in options.items():
        where = (*location, key)
        field, place = ".".join(map(str, where)), recipe.place(*where)
        if is_secret(model, (key,)) and isinstance(value, str):
            resolved[key], problem = resolve_secret(value, field=field, place=place)
            problems += [problem] if problem else []
        elif isinstance(value, str) and "${env:" in value:
            problems.append(
                Problem(
                    code="recipe.environment",
                    message="only options declared secret may refer to the environment",
                    place=place,
                    field=field,
                    found=value,
                    fix="write the value itself",
                )
            )
    return resolved, problems
