"""One training, from prepared rows to the saved adapter: the order of the steps. Heavy: imported when work begins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorasdk.basemodel.quiet import quiet
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import PreparedSplit
from lorasdk.engine.batches import plan_of
from lorasdk.engine.course import Course
from lorasdk.engine.initial_adapter import CHANGES_BASE, LOOKS_AT_DATA, data_batches, save_initial_adapter
from lorasdk.engine.loop import run_training
from lorasdk.engine.lora import attach_lora, describe_attachment
from lorasdk.engine.snapshot import Snapshot
from lorasdk.engine.task import Trained, TrainingTask
from lorasdk.errors import InferenceError, TrainingError
from lorasdk.evaluation.scoring import Subject, aggregate, score
from lorasdk.events import AdapterAttached, AdapterSaved, Emit, RunStarted, RunStopped
from lorasdk.refusals import abandoned, stopped_too_early
from lorasdk.results import TrainResult
from lorasdk.stopping import StopRequestedError, StopToken
from lorasdk.workbench.adapter_saving import AdapterSaving
from lorasdk.workbench.bench import Workbench
from lorasdk.workbench.passport_making import describe_split
from lorasdk.workbench.run_checkpoints import RunCheckpoints, identity_of


@dataclass
class TrainingRun:
    """A training on a workbench whose base model carries no adapter yet."""

    bench: Workbench
    run_dir: Path
    emit: Emit
    stop: StopToken
    began: float
    allow_changes: tuple[str, ...] = ()

    @property
    def base_changed(self) -> bool:
        """Whether the initialisation takes its matrices out of the base weights in memory."""
        return self.bench.resolved.recipe.lora.init.startswith(CHANGES_BASE)

    def run(self, splits: Mapping[str, Examples]) -> TrainResult:
        """Prepare, attach, train, save; `splits` is empty when the run was stopped before they were read.

        Raises:
            CheckpointError: the run cannot go on from its checkpoints with this recipe, data or base model.
            TrainingError: the run went wrong, or it was stopped and nothing was to be saved.
        """
        recipe = self.bench.resolved.recipe
        kept = RunCheckpoints.open(self.run_dir, keep=recipe.training.keep_checkpoints, emit=self.emit)
        self.emit(RunStarted(self.run_dir, recipe.name, recipe.fingerprint, kept.step))
        prepared = self._prepared(splits)
        with quiet():
            start = self._start(kept, splits, prepared)
            attached, initial = self._attach(prepared)
            saving = self._saving(kept, attached, initial, splits=splits, prepared=prepared)
            with saving.rescue():
                trained = self._train(prepared, start, kept) if prepared else self._left(start)
                if trained.stopped == "requested" and not self.stop.saving:
                    raise TrainingError(abandoned(self.run_dir, trained.steps))
                adapter_dir = saving.save(trained)
        self.emit(AdapterSaved(adapter_dir, trained.saved_step))
        return self._result(adapter_dir, trained, attached, resumed_from=kept.step)

    def _prepared(self, splits: Mapping[str, Examples]) -> dict[str, PreparedSplit]:
        """All splits, or none if the run is stopped before they are ready."""
        try:
            return self.bench.prepare(splits, self.emit, between=self.stop.check) if splits else {}
        except StopRequestedError:
            return {}

    def _start(
        self, kept: RunCheckpoints, splits: Mapping[str, Examples], prepared: Mapping[str, PreparedSplit]
    ) -> Snapshot | None:
        bench = self.bench
        recipe, base = bench.resolved.recipe, bench.load_base(self.emit)
        template = bench.encoder.renderer.template.sha256
        identity = identity_of(recipe, base, template_sha256=template, splits=splits, prepared=prepared)
        rows = len(prepared["train"].rows) if prepared else None
        steps = None if rows is None else plan_of(recipe.training, rows).total_steps
        return kept.start(identity, allow=self.allow_changes, total_steps=steps)

    def _attach(self, prepared: Mapping[str, PreparedSplit]) -> tuple[AdapterAttached, Path | None]:
        recipe, base = self.bench.resolved.recipe, self.bench.load_base(self.emit)
        if not prepared and recipe.lora.init in LOOKS_AT_DATA:
            raise TrainingError(stopped_too_early(self.run_dir, recipe.lora.init))
        rows = prepared["train"].rows if prepared else ()
        batches = data_batches(recipe.lora, rows, recipe.training.batch_size, device=base.model.device)
        model = attach_lora(base.model, recipe.lora, seed=recipe.training.seed, batches=batches)
        self.bench.model = model
        attached = describe_attachment(model)
        self.emit(attached)
        return attached, save_initial_adapter(model, self.run_dir) if self.base_changed else None

    def _saving(
        self,
        kept: RunCheckpoints,
        attached: AdapterAttached,
        initial: Path | None,
        *,
        splits: Mapping[str, Examples],
        prepared: Mapping[str, PreparedSplit],
    ) -> AdapterSaving:
        assert self.bench.model is not None
        data = {name: describe_split(splits[name], split) for name, split in prepared.items()}
        return AdapterSaving(
            bench=self.bench,
            run_dir=self.run_dir,
            model=self.bench.model,
            attached=attached,
            initial=initial,
            data=data,
            test_rows=splits["test"].items if "test" in splits else (),
            checkpoints=kept,
            began=self.began,
            emit=self.emit,
        )

    def _train(self, prepared: Mapping[str, PreparedSplit], start: Snapshot | None, kept: RunCheckpoints) -> Trained:
        recipe, model = self.bench.resolved.recipe, self.bench.model
        assert model is not None
        validation = prepared.get("validation")
        return run_training(
            TrainingTask(
                model=model,
                section=recipe.training,
                train=prepared["train"].rows,
                validation=validation.rows if validation else (),
                score=lambda: self._watched_score(validation),
                higher_is_better=self.bench.resolved.higher_is_better,
                emit=self.emit,
                stop=self.stop,
                keep=kept.keep,
                start=start,
            )
        )

    def _left(self, start: Snapshot | None) -> Trained:
        """What a run that was stopped before its data were ready has: the state it would have gone on from."""
        assert self.bench.model is not None
        course = Course() if start is None else Course.of(start.facts["course"])
        if start is not None:
            start.put_into(self.bench.model)
        self.emit(RunStopped(course.step, "requested"))
        return Trained.of(course, "requested", saved_step=course.best_step or course.step)

    def _watched_score(self, validation: PreparedSplit | None) -> Mapping[str, float]:
        """The watched metric, if an evaluator gives it."""
        chosen = self.bench.resolved.metric_evaluator
        if chosen is None or validation is None or self.bench.model is None:
            return {}
        settings = self.bench.resolved.recipe.generation
        predictor = self.bench.predictor(settings, adapter=True, label="validation", emit=self.emit, stop=self.stop)
        self.bench.model.eval()
        subject = Subject("validation", predictor, validation.examples, self.emit, self.stop.check)
        try:
            scores = score(chosen, subject)
        except InferenceError:
            self.stop.check()  # answers that are no longer wanted are no fault: the loop saves, and ends
            raise
        finally:
            self.bench.model.train()
        return {chosen.evaluator.name: aggregate(chosen.evaluator, scores)}

    def _result(
        self, adapter_dir: Path, trained: Trained, attached: AdapterAttached, *, resumed_from: int
    ) -> TrainResult:
        return TrainResult(
            adapter_dir=adapter_dir,
            run_dir=self.run_dir,
            steps=trained.steps,
            saved_step=trained.saved_step,
            stopped=trained.stopped,
            history=trained.history,
            validations=trained.validations,
            trainable_parameters=attached.trainable_parameters,
            total_parameters=attached.total_parameters,
            tokens=trained.tokens,
            seconds=self._seconds(),
            peak_memory_bytes=trained.peak_memory_bytes,
            resumed_from=resumed_from,
        )

    def _seconds(self) -> float:
        return time.perf_counter() - self.began
