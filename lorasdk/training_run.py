"""One training, from prepared rows to the saved adapter: the order of the steps. Heavy: imported when work begins."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorasdk.artifacts.adapter_folder import save_adapter
from lorasdk.artifacts.passport import Passport
from lorasdk.basemodel.quiet import quiet
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import PreparedSplit
from lorasdk.engine.initial_adapter import CHANGES_BASE, data_batches, save_initial_adapter
from lorasdk.engine.loop import run_training
from lorasdk.engine.lora import attach_lora, describe_attachment
from lorasdk.engine.task import Trained, TrainingTask
from lorasdk.evaluation.comparing import score_rows
from lorasdk.events import AdapterAttached, AdapterSaved, Emit, RunFinished, RunStarted
from lorasdk.passport_making import describe_split, make_passport
from lorasdk.results import TrainResult
from lorasdk.run_folder import ADAPTER
from lorasdk.stopping import StopToken
from lorasdk.workbench import Workbench


@dataclass
class TrainingRun:
    """A training on a workbench whose base model carries no adapter yet."""

    bench: Workbench
    run_dir: Path
    emit: Emit
    stop: StopToken
    began: float

    @property
    def base_changed(self) -> bool:
        """Whether the initialisation takes its matrices out of the base weights in memory."""
        return self.bench.resolved.recipe.lora.init.startswith(CHANGES_BASE)

    def run(self, splits: Mapping[str, Examples]) -> TrainResult:
        """Prepare, attach, train, save."""
        recipe = self.bench.resolved.recipe
        self.emit(RunStarted(self.run_dir, recipe.name, recipe.fingerprint))
        prepared = self.bench.prepare(splits, self.emit)
        with quiet():
            attached, initial = self._attach(prepared)
            trained = self._train(prepared)
            adapter_dir = self.run_dir / ADAPTER
            data = {name: describe_split(splits[name], split) for name, split in prepared.items()}

            def passport(adapter_sha256: str) -> Passport:
                return make_passport(
                    self.bench,
                    trained=trained,
                    attached=attached,
                    data=data,
                    seconds=self._seconds(),
                    adapter_sha256=adapter_sha256,
                )

            self._save(adapter_dir, passport, initial)
        self.emit(AdapterSaved(adapter_dir, trained.saved_step))
        self.emit(RunFinished(adapter_dir, trained.steps, self._seconds()))
        return self._result(adapter_dir, trained, attached)

    def _attach(self, prepared: Mapping[str, PreparedSplit]) -> tuple[AdapterAttached, Path | None]:
        recipe, base = self.bench.resolved.recipe, self.bench.load_base(self.emit)
        size = recipe.training.batch_size
        batches = data_batches(recipe.lora, prepared["train"].rows, size, device=base.model.device)
        model = attach_lora(base.model, recipe.lora, seed=recipe.training.seed, batches=batches)
        self.bench.model = model
        attached = describe_attachment(model)
        self.emit(attached)
        return attached, save_initial_adapter(model, self.run_dir) if self.base_changed else None

    def _train(self, prepared: Mapping[str, PreparedSplit]) -> Trained:
        recipe, model = self.bench.resolved.recipe, self.bench.model
        assert model is not None
        validation = prepared.get("validation")
        if recipe.training.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        try:
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
                )
            )
        finally:
            if recipe.training.gradient_checkpointing:
                model.gradient_checkpointing_disable()

    def _save(self, adapter_dir: Path, passport: Callable[[str], Passport], initial: Path | None) -> None:
        assert self.bench.model is not None
        save_adapter(
            self.bench.model,
            adapter_dir,
            base_name=self.bench.located.identity.removeprefix("hub:"),
            base_vocabulary=self.bench.base_vocabulary,
            passport=passport,
            initial=initial,
        )
        if initial is not None:
            shutil.rmtree(initial.parent, ignore_errors=True)

    def _watched_score(self, validation: PreparedSplit | None) -> Mapping[str, float]:
        """The watched metric, if an evaluator gives it."""
        chosen = self.bench.resolved.metric_evaluator
        if chosen is None or validation is None or self.bench.model is None:
            return {}
        settings = self.bench.resolved.recipe.generation
        predictor = self.bench.predictor(settings, adapter=True, label="validation", emit=self.emit, stop=self.stop)
        self.bench.model.eval()
        scores = score_rows(validation.examples, [chosen], predictor)
        self.bench.model.train()
        return {name: sum(values) / len(values) for name, values in scores.items()}

    def _result(self, adapter_dir: Path, trained: Trained, attached: AdapterAttached) -> TrainResult:
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
        )

    def _seconds(self) -> float:
        return time.perf_counter() - self.began
