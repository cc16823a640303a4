"""Which versions of the recipe format this release reads, and how to bring an older one up to date.

Version 0 is the flat list of keyword arguments that hand-written training scripts use; it is not run, it is migrated.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from lorasdk.errors import Problem
from lorasdk.recipe.writing import write_yaml

CURRENT = 1

_MOVED = {
    "name": "name",
    "output_dir": "output_dir",
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


def version_problem(data: Mapping[str, object], *, text: str, place: str) -> Problem | None:
    """What is wrong with the recipe's ``version``, if it is another one than this release reads."""
    version = data.get("version", CURRENT)
    if not isinstance(version, int) or isinstance(version, bool) or version == CURRENT:
        return None  # a wrong type is the schema's to report
    if version == 0:
        return Problem(
            code="recipe.old-version",
            message="version 0 is the flat form of training scripts",
            place=place,
            field="version",
            found="0",
            allowed=str(CURRENT),
            fix="apply this change:\n" + _migration_diff(data, text),
        )
    return Problem(
        code="recipe.unknown-version",
        message=f"version {version} needs another lorasdk; this release reads version {CURRENT}",
        place=place,
        field="version",
        found=str(version),
        allowed=str(CURRENT),
        fix=f"install the lorasdk ≥ the release that introduced version {version}, or write version: {CURRENT}"
        if version > CURRENT
        else f"write version: {CURRENT}",
    )


def _migration_diff(data: Mapping[str, object], text: str) -> str:
    before = (text or write_yaml(dict(data))).splitlines()
    after = write_yaml(migrate(data)).splitlines()
    return "\n".join(difflib.unified_diff(before, after, "version 0", f"version {CURRENT}", lineterm=""))


def migrate(old: Mapping[str, object]) -> dict[str, object]:
    """The version-1 form of a version-0 mapping; keys that version 0 does not know stay and are reported then."""
    new: dict[str, object] = {"version": CURRENT, "name": "migrated"}
    for key, value in old.items():
        if key == "version" or (key in {"load_in_4bit", "load_in_8bit"} and not value):
            continue
        path, moved = _MOVED.get(key, key), value
        if key in {"load_in_4bit", "load_in_8bit"}:
            path, moved = "base_model.quantization", "nf4" if key == "load_in_4bit" else "int8"
        *sections, name = path.split(".")
        target = new
        for section in sections:
            inner = target.setdefault(section, {})
            target = inner if isinstance(inner, dict) else {}
        target[name] = moved
    _whole_step(new, old.get("gradient_accumulation_steps"))
    return new


def _whole_step(new: dict[str, object], accumulation: object) -> None:
    """Scripts give a forward pass and how many make a step; a recipe gives the step."""
    training = new.get("training")
    new.pop("gradient_accumulation_steps", None)
    if isinstance(training, dict) and isinstance(training.get("micro_batch"), int) and "batch_size" not in training:
        training["batch_size"] = training["micro_batch"] * (accumulation if isinstance(accumulation, int) else 1)
