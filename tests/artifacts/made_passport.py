"""A passport as a training on a machine would write it, for tests of what is made from one."""

from __future__ import annotations

from typing import Any

from lorasdk import load_recipe
from lorasdk.artifacts.passport import BaseModelPart, Passport, SplitPart, TemplatePart, TrainingPart

ABSOLUTE, RELATIVE, OUTPUT = "/home/anna/secret-project/rows.jsonl", "inputs/held_out.jsonl", "/mnt/scratch/anna/runs"
RECIPE = {
    "name": "ticket-teams",
    "output_dir": OUTPUT,
    "base_model": {"source": "/home/anna/models/tiny"},
    "data": {"train": ABSOLUTE, "test": RELATIVE},
    "lora": {"targets": [r"layers\.1\.(q|v)_proj", "o_proj"]},
}


def made_passport(*, identity: str = "hub:org/base", **changes: Any) -> Passport:
    """The passport, with other values where they are given."""
    recipe = load_recipe(RECIPE)
    values: dict[str, Any] = {
        "created": "2030-01-02T03:04:05+00:00",
        "recipe": recipe.dump(),
        "recipe_fingerprint": recipe.fingerprint,
        "base_model": BaseModelPart(
            source=recipe.base_model.source,
            identity=identity,
            revision="1234abcd" if identity.startswith("hub:") else None,
            fingerprint="f" * 64,
            quantization="nf4",
            dtype="float32",
        ),
        "template": TemplatePart(sha256="7" * 64, origin="file:chat.jinja"),
        "data": {name: _split(rows) for name, rows in {"train": 1600, "test": 240}.items()},
        "training": TRAINING,
        "adapter_sha256": "a" * 64,
        "versions": {"python": "3.11.7", "lorasdk": "0.1.0", "torch": "2.9.0+cpu"},
    }
    return Passport(**{**values, **changes})


TRAINING = TrainingPart(
    steps=150,
    saved_step=120,
    stopped="finished",
    loss=0.12345,
    validation={"loss": 0.5},
    tokens=123_456,
    seconds=76.4,
    peak_memory_bytes=2_200_000_000,
    trainable_parameters=4_884_480,
    total_parameters=139_399_488,
    trainable_share=4_884_480 / 139_399_488,
)


def _split(rows: int) -> SplitPart:
    return SplitPart(sha256="5" * 64, rows=rows, skipped=0, tokens=rows * 50, supervised_tokens=rows * 5)
