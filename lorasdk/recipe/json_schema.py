"""The JSON Schema of a recipe, for editors: descriptions, units, shorthand forms and components' options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from lorasdk.recipe.recipe import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema(
    *, loaders: Mapping[str, type[BaseModel]] | None = None, evaluators: Mapping[str, type[BaseModel]] | None = None
) -> dict[str, Any]:
    """Describe every field of a recipe.

    Args:
        loaders: options of the registered data loaders by name; they are completed and checked too.
        evaluators: the same for evaluators.
    """
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    if loaders is not None:
        _add_components(definitions, "DataSource", "loader", loaders, default="file")
    if evaluators is not None:
        _add_components(definitions, "EvaluatorSpec", "name", evaluators, default=None)
    return {"$schema": DIALECT, "title": "lorasdk recipe", **{k: v for k, v in schema.items() if k != "title"}}


def _add_components(
    definitions: dict[str, Any], section: str, key: str, components: Mapping[str, type[BaseModel]], default: str | None
) -> None:
    """Tie the options of each component to its name: if ``loader: x``, then x's options and no others."""
    own = definitions[section]["properties"]
    own[key] = {**own[key], "enum": sorted(components)}
    rules = []
    for name in sorted(components):
        options = components[name].model_json_schema(ref_template=f"#/$defs/{section}.{name}.{{model}}")
        for inner, definition in options.pop("$defs", {}).items():
            definitions[f"{section}.{name}.{inner}"] = definition
        condition: dict[str, Any] = {"properties": {key: {"const": name}}}
        if name != default:
            condition["required"] = [key]
        allowed = {**dict.fromkeys(own, True), **options.get("properties", {})}
        then = {"properties": allowed, "required": options.get("required", []), "additionalProperties": False}
        rules.append({"if": condition, "then": then})
    definitions[section]["allOf"] = rules
