"""What a recipe's author would have written: only what differs from the defaults, in the short forms."""

from __future__ import annotations

from typing import Any

from lorasdk.recipe.plain import plain_data, without_secrets
from lorasdk.recipe.recipe import Recipe
from lorasdk.recipe.schema import DataSource


def shortened(recipe: Recipe) -> dict[str, Any]:
    """Plain data that reads back as an equal recipe, except that secrets given in code are missing."""
    data: dict[str, Any] = plain_data(without_secrets(recipe.model_dump(exclude_defaults=True)))
    for (section, key), reference in recipe.references.items():
        data.setdefault(str(section), {})[str(key)] = reference
    sources = data.get("data", {})
    splits = {"train": recipe.data.train, "validation": recipe.data.validation, "test": recipe.data.test}
    for split, source in splits.items():
        if split in sources:
            sources[split] = _short_source(sources[split], source)
    if "evaluators" in data.get("evaluation", {}):
        specs = data["evaluation"]["evaluators"]
        data["evaluation"]["evaluators"] = [spec["name"] if spec.keys() == {"name"} else spec for spec in specs]
    in_order = {"version": recipe.version, "name": recipe.name, **data}
    return {key: in_order[key] for key in Recipe.model_fields if key in in_order and in_order[key] != {}}


def _short_source(written: dict[str, Any], source: object) -> object:
    if not isinstance(source, DataSource):
        (only,) = written.values()
        return only
    if written.keys() == {"path"} and isinstance(written["path"], str):
        return written["path"]
    # Options called like a held-out part would be taken for one.
    ambiguous = written.keys() & {"fraction", "rows"} and "path" not in written
    loader = {"loader": source.loader} if ambiguous or "loader" in written else {}
    return {**loader, **{key: written[key] for key in source.options if key in written}, **written}
