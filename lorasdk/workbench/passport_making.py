"""Writes down what an adapter was made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from lorasdk.artifacts.adapter_folder import library_versions
from lorasdk.artifacts.passport import BaseModelPart, Passport, SplitPart, TemplatePart, TrainingPart
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import PreparedSplit
from lorasdk.engine.task import Trained
from lorasdk.events import AdapterAttached
from lorasdk.workbench.bench import Workbench
from lorasdk.workbench.run_checkpoints import RunCheckpoints


def make_passport(
    bench: Workbench,
    *,
    trained: Trained,
    attached: AdapterAttached,
    data: Mapping[str, SplitPart],
    checkpoints: RunCheckpoints,
    seconds: float,
    adapter_sha256: str,
) -> Passport:
    """The passport of the adapter on `bench`."""
    recipe, base, template = bench.resolved.recipe, bench.base, bench.encoder.renderer.template
    assert base is not None
    return Passport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.dump(),
        recipe_fingerprint=recipe.fingerprint,
        base_model=BaseModelPart(
            source=recipe.base_model.source,
            identity=bench.located.identity,
            revision=bench.located.revision,
            fingerprint=base.fingerprint,
            quantization=base.quantization,
            dtype=base.device.dtype,
        ),
        template=TemplatePart(sha256=template.sha256, origin=template.origin),
        data=dict(data),
        training=_training_part(trained, attached, checkpoints, seconds),
        adapter_sha256=adapter_sha256,
        versions=library_versions(),
    )


def describe_split(examples: Examples, split: PreparedSplit) -> SplitPart:
    """Hash and counts of one split."""
    return SplitPart(
        sha256=examples.sha256,
        rows=split.counts.rows,
        skipped=split.counts.skipped,
        tokens=split.counts.tokens,
        supervised_tokens=split.counts.supervised_tokens,
    )


def _training_part(
    trained: Trained, attached: AdapterAttached, checkpoints: RunCheckpoints, seconds: float
) -> TrainingPart:
    tail = trained.history[-max(1, len(trained.history) // 10) :]
    return TrainingPart(
        steps=trained.steps,
        saved_step=trained.saved_step,
        stopped=trained.stopped,
        loss=sum(point.loss for point in tail) / len(tail) if tail else None,
        validation=dict(trained.validations[-1].metrics) if trained.validations else {},
        tokens=trained.tokens,
        seconds=seconds,
        peak_memory_bytes=trained.peak_memory_bytes,
        trainable_parameters=attached.trainable_parameters,
        total_parameters=attached.total_parameters,
        trainable_share=attached.trainable_share,
        resumed_at=checkpoints.resumed_at,
        changes=checkpoints.changes,
        bit_exact=not checkpoints.changes,
    )
