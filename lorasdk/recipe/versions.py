"""Which versions of the recipe format this release reads, and how to bring an older one up to date.

Version 0 is the flat list of keyword arguments that hand-written training scripts use; it is not run, it is migrated.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from lorasdk.errors import Problem
from lorasdk.recipe.plain import without_secrets
from lorasdk.recipe.recipe import Recipe
from lorasdk.recipe.writing import write_yaml

CURRENT = 1
"""The version of the recipe format that this release reads."""

_MOVED = {
    "name": "name",
    "output_dir": "output_dir",
    "model": "base_model.source",
    "token": "base_model.token",
    "dataset": "data.train",
    "model_name_or_path": "base_model.source",
    "model_name": "base_model.source",
    "train_file": "data.train",
    "validation_file": "data.validation",
    "test_file": "data.test",
    "max_seq_length": "data.max_tokens",
    "max_length": "data.max_tokens",
    "r": "lora.rank",
    "lora_r": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "target_modules": "lora.targets",
    "bias": "lora.bias",
    "use_dora": "lora.dora",
    "use_rslora": "lora.rslora",
    "num_train_epochs": "training.epochs",
    "max_steps": "training.max_steps",
    "per_device_train_batch_size": "training.micro_batch",
    "batch_size": "training.batch_size",
    "learning_rate": "training.learning_rate",
    "lr_scheduler_type": "training.schedule",
    "warmup_ratio": "training.warmup",
    "weight_decay": "training.weight_decay",
    "max_grad_norm": "training.max_grad_norm",
    "gradient_checkpointing": "training.gradient_checkpointing",
    "seed": "training.seed",
    "eval_steps": "training.eval_every_steps",
    "max_new_tokens": "generation.max_new_tokens",
    "temperature": "generation.temperature",
}


_BITS = {"load_in_4bit": "nf4", "load_in_8bit": "int8"}
_FLAT = frozenset({"model_name_or_path", "train_file", "lora_r", "num_train_epochs", "per_device_train_batch_size"})
"""Keys that only the flat form has."""


def version_problem(data: Mapping[str, object], *, text: str, place: str) -> Problem | None:
    """What is wrong with the recipe's version, if it is another one than this release reads.

    Args:
        data: the recipe.
        text: what it was read from, for the comparison with its newer form; empty when it was built in code.
        place: where the version stands.
    """
    version = data.get("version", 0 if _FLAT & data.keys() and "data" not in data else CURRENT)
    if not isinstance(version, int) or isinstance(version, bool) or version == CURRENT:
        return None  # a wrong type is the schema's to report
    if version == 0:
        return Problem(
            code="recipe.old-version",
            message="this is version 0 of the recipe format, the flat form of training scripts",
            place=place,
            field="version",
            found="0" if "version" in data else "no version, and keys of version 0",
            allowed=str(CURRENT),
            fix="apply this change:\n" + _migration_diff(data, text),
        )
    return _unknown_version(version, place)


def _unknown_version(version: int, place: str) -> Problem:
    newer = version > CURRENT
    needs = f"needs lorasdk ≥ the release that introduced version {version}" if newer else "does not exist"
    return Problem(
        code="recipe.unknown-version",
        message=f"recipe version {version} {needs}; this release reads version {CURRENT}",
        place=place,
        field="version",
        found=str(version),
        allowed=str(CURRENT),
        fix="upgrade lorasdk (pip install --upgrade lorasdk)" if newer else f"write version: {CURRENT}",
    )


def _migration_diff(data: Mapping[str, object], text: str) -> str:
    before = (text or write_yaml(without_secrets(data))).splitlines()
    after = write_yaml(migrate(data)).splitlines()
    return "\n".join(difflib.unified_diff(before, after, "version 0", f"version {CURRENT}", lineterm=""))


def migrate(old: Mapping[str, object]) -> dict[str, Any]:
    """The version-1 form of a version-0 mapping; keys that version 0 does not know stay and are reported then."""
    new: dict[str, Any] = {"version": CURRENT, "name": "migrated"}
    for key, value in without_secrets(old).items():
        if key in {"version", "gradient_accumulation_steps"} or (key in _BITS and not value):
            continue
        *sections, name = (_MOVED.get(key, key) if key not in _BITS else "base_model.quantization").split(".")
        target = new
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = _BITS.get(key, value)
    _whole_step(new, old.get("gradient_accumulation_steps", 1))
    order = [*Recipe.model_fields, *new]
    return {key: new[key] for key in dict.fromkeys(order) if key in new}


def _whole_step(new: dict[str, Any], accumulation: object) -> None:
    """Scripts give a forward pass and how many of them make a step; a recipe gives the step."""
    training = new.get("training", {})
    micro_batch = training.get("micro_batch")
    if isinstance(micro_batch, int) and isinstance(accumulation, int) and "batch_size" not in training:
        training["batch_size"] = micro_batch * accumulation
        if accumulation == 1:
            del training["micro_batch"]
