"""A recipe as MLflow's parameters: dotted names and short texts, within what every server of MLflow 2 and 3 takes."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

logger = logging.getLogger("lorasdk_mlflow")

RECIPE = "recipe.yaml"
"""Name of the recipe in a run's folder; it holds no secret."""
LONGEST_NAME = 250
LONGEST_VALUE = 500
"""Older servers take no longer one. The whole recipe is among the artifacts."""
LONGEST_TAG = 5000
_FORBIDDEN = re.compile(r"[^\w.\- /:]")


def recipe_parameters(run_dir: Path) -> dict[str, str]:
    """``lora.rank``, ``training.learning_rate``, … of the recipe in a run's folder; empty when it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        recipe = YAML(typ="safe", pure=True).load((run_dir / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError) as error:
        logger.warning("the recipe's parameters are not logged to MLflow: %s", error)
        return {}
    return parameters(recipe)


def parameters(values: Mapping[str, object]) -> dict[str, str]:
    """Nested values by their dotted names, as texts."""
    return {name_of(name): shortened(_text(value), LONGEST_VALUE) for name, value in _flat(values, "")}


def name_of(text: str) -> str:
    """A name of a parameter, a metric or a tag: letters, digits and what MLflow allows between them."""
    return _FORBIDDEN.sub("_", text)[:LONGEST_NAME]


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis; what is no character (of a file's name, say) becomes a ``?``."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _flat(value: object, name: str) -> Iterator[tuple[str, object]]:
    match value:
        case Mapping():
            items = [(str(key), item) for key, item in value.items()]
        case list() if any(isinstance(item, Mapping) for item in value):
            items = [(str(place), item) for place, item in enumerate(value)]
        case _:
            yield name, value
            return
    for key, item in items:
        yield from _flat(item, f"{name}.{key}" if name else key)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
