"""Turns what a program hands over into plain data of its own, and a recipe back into what was written in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from lorasdk.errors import Problem, RecipeError

MAX_DEPTH = 30
"""Nesting of a recipe; deeper is a mapping that contains itself."""


def plain_data(value: object, *, depth: int = 0) -> Any:  # noqa: ANN401 - plain data
    """Copy mappings, sequences and sections into dicts and lists; paths become texts, secrets stay closed.

    Raises:
        RecipeError: the value contains itself.
    """
    if depth > MAX_DEPTH:
        fix = "a recipe is short and contains no part of itself"
        raise RecipeError(Problem("recipe.too-large", f"the recipe is nested more than {MAX_DEPTH} deep", fix=fix))
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return {str(key): plain_data(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item, depth=depth + 1) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - plain data
    """Copy plain data without the keys whose value is a secret."""
    if isinstance(value, Mapping):
        return {key: without_secrets(item) for key, item in value.items() if not isinstance(item, SecretStr)}
    return [without_secrets(item) for item in value] if isinstance(value, list | tuple) else value
