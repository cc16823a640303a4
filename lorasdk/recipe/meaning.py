"""What a recipe means, apart from how it is spelled: the canonical text behind its fingerprint."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DEFAULT_EPOCHS = 3
"""What `training` means when it says neither epochs nor steps."""
PATHS = frozenset({"path"})
"""Options that are paths, whichever component they belong to."""
ADDED_SINCE: Mapping[str, Any] = MappingProxyType({"pack_tokens": None, "memory_gb": None, "on_loss_spike": "tell"})
"""Fields of `training` that came later, and what they are when unset: then they are no part of the meaning, so that
fingerprints stay."""
WITHOUT_EFFECT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "training": frozenset({"checkpoint_every_steps", "keep_checkpoints"}),
        "evaluation": frozenset({"forgetting", "max_forgetting", "max_overlap"}),
    }
)
"""By section: fields that decide nothing about the adapter, nor what it scores."""
_PATH_STARTS = ("./", "../", "/", "~")


def canonical(values: Mapping[str, Any]) -> str:
    """One text for all spellings of the same values.

    Names and folders of the output are no part of the meaning; ``./a`` and ``a`` are the same path, 1 and 1.0 the same
    number; a training that says neither epochs nor steps means 3 epochs.
    """
    meaning = {key: value for key, value in values.items() if key not in {"name", "output_dir"}}
    meaning |= {section: with_effect(section, meaning[section]) for section in WITHOUT_EFFECT}
    training = {
        key: value for key, value in meaning["training"].items() if key not in ADDED_SINCE or value != ADDED_SINCE[key]
    }
    unlimited = training["epochs"] is None and training["max_steps"] is None
    meaning["training"] = {**training, "epochs": DEFAULT_EPOCHS} if unlimited else training
    for key in ("source", "chat_template"):
        if meaning["base_model"][key].startswith(_PATH_STARTS):
            meaning["base_model"] = {**meaning["base_model"], key: posixpath.normpath(meaning["base_model"][key])}
    return json.dumps(_normal(meaning), sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def with_effect(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section without the fields that decide nothing about the adapter."""
    return {key: value for key, value in values.items() if key not in WITHOUT_EFFECT[section]}


def _normal(value: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {name: _normal(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item, key) for item in value]
    if isinstance(value, str) and key in PATHS:
        return posixpath.normpath(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
