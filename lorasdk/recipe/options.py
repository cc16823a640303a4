"""Validates the options that a recipe gives to a component, with the component's own model and the recipe's places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.allowed import Allowed
from lorasdk.recipe.explaining import Context, dotted
from lorasdk.recipe.homes import recipe_homes
from lorasdk.recipe.judging import judge
from lorasdk.recipe.recipe import Location, Recipe
from lorasdk.recipe.secrets import MARK, resolve_secret, stray_reference, texts

Options = TypeVar("Options", bound=BaseModel)


def validate_options(
    model: type[Options], options: Mapping[str, object], *, recipe: Recipe, location: Location
) -> Options:
    """Make the component's options from what the recipe says at `location`.

    Args:
        model: the component's closed ``Options``; its `SecretStr` fields may be written as ``${env:NAME}``.
        options: the keys that are not the section's own.
        recipe: for places in messages.
        location: where the options stand, such as ``("data", "train")``.

    Raises:
        RecipeError: every problem of these options.
    """
    resolved, problems = _with_secrets(model, options, recipe, location)
    context = Context(
        place=lambda where, key: recipe.origin.place(where, key=key),
        homes=recipe_homes,
        prefix=location,
        also=lambda: [key for key in Allowed.by(Recipe).keys(location) if key not in options],
    )
    validated, wrong = judge(model, resolved, context, stand_ins={})
    problems += [problem for problem in wrong if problem.field not in {known.field for known in problems}]
    if validated is None or problems:
        raise RecipeError(*problems)
    return validated


def _with_secrets(
    model: type[BaseModel], options: Mapping[str, object], recipe: Recipe, location: Location
) -> tuple[dict[str, object], list[Problem]]:
    resolved, problems = dict(options), []
    allowed = Allowed.by(model)
    for key, value in options.items():
        where = (*location, key)
        if allowed.secret((key,)) and isinstance(value, str):
            resolved[key], problem = resolve_secret(value, field=dotted(where), place=recipe.place(*where))
            problems += [problem] if problem else []
            continue
        problems += [
            stray_reference(text, field=dotted(inner), place=recipe.place(*inner))
            for inner, text in texts(value, where)
            if MARK in text
        ]
    return resolved, problems
