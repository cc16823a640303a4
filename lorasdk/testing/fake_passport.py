"""The passport of an adapter that was never trained: true about recipe and rows, and about nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from lorasdk.artifacts.passport import BaseModelPart, Passport, SplitPart, TemplatePart, TrainingPart
from lorasdk.data.examples import Examples
from lorasdk.recipe import Recipe
from lorasdk.results import TrainResult

FAKE = "fake"


def fake_passport(recipe: Recipe, result: TrainResult, splits: Mapping[str, Examples]) -> Passport:
    """What says "fake" can fit no real base model."""
    return Passport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.dump(),
        recipe_fingerprint=recipe.fingerprint,
        base_model=BaseModelPart(
            source=recipe.base_model.source,
            identity=FAKE,
            revision=None,
            fingerprint=FAKE,
            quantization=recipe.base_model.quantization,
            dtype="float32",
        ),
        template=TemplatePart(sha256=FAKE, origin=FAKE),
        data={name: _split(examples) for name, examples in splits.items()},
        training=TrainingPart(
            steps=result.steps,
            saved_step=result.saved_step,
            stopped=result.stopped,
            loss=result.loss if result.history else None,
            validation=dict(result.validations[-1].metrics) if result.validations else {},
            tokens=result.tokens,
            seconds=result.seconds,
            peak_memory_bytes=result.peak_memory_bytes,
            trainable_parameters=result.trainable_parameters,
            total_parameters=result.total_parameters,
            trainable_share=result.trainable_share,
        ),
        adapter_sha256=FAKE,
        versions={},
    )


def _split(examples: Examples) -> SplitPart:
    return SplitPart(
        sha256=examples.sha256, rows=len(examples.items), skipped=examples.skipped, tokens=0, supervised_tokens=0
    )
