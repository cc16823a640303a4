"""The training loop: one optimizer step after another, watched, stoppable, and exact about what each step computes.

It knows token rows and a PEFT model; it knows nothing of recipes' files, plugins or folders.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.batches import plan_of
from lorasdk.engine.course import Course
from lorasdk.engine.fitting_passes import FittingPasses
from lorasdk.engine.gate import loss_spike
from lorasdk.engine.optimizer import adamw, moments, restore_moments
from lorasdk.engine.pass_choice import chosen_passes
from lorasdk.engine.schedule import learning_rate
from lorasdk.engine.snapshot import Snapshot
from lorasdk.engine.step_gradient import StepGradient
from lorasdk.engine.task import Stopped, Trained, TrainingTask
from lorasdk.engine.validation import measure
from lorasdk.engine.watch import MetricWatch
from lorasdk.events import EvaluationFinished, LossSpike, Notice, RunStopped, StepFinished
from lorasdk.forward.constant_states import keep_constant_states
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.passes import Passes
from lorasdk.results import LossPoint, ValidationPoint
from lorasdk.stopping import StopRequestedError

WORTH_KEEPING = 2
"""Visits to each row from which it pays to keep what layers without an adapter make of it."""


def run_training(task: TrainingTask) -> Trained:
    """Train `task.model` in place and tell how it went.

    Dropout draws from a state that depends on seed, step and micro-batch alone, and not from the global one. A training
    that goes on from one of its snapshots ends with the same bits as one that was never interrupted.

    Raises:
        CheckpointError: it shall go on from the state of another model.
        TrainingError: a loss or gradient is not finite, or the watched metric is missing; the step was not taken.
        ResourceError: memory ran out with one row at a time, or the recipe allows too little.
    """
    with chosen_passes(task) as passes:
        return _Loop(task, passes).run()


@dataclass
class _Loop:
    task: TrainingTask
    passes: Passes
    course: Course = field(default_factory=Course)
    best: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        task, section = self.task, self.task.section
        self.plan = plan_of(section, len(task.train))
        self.parameters = {n: p for n, p in task.model.named_parameters() if p.requires_grad}
        self.optimizer = adamw(self.parameters, section.weight_decay)
        self.watch = MetricWatch(section.metric, task.higher_is_better, section.early_stopping)
        self.fitting = FittingPasses(self.passes, self.passes, task.model.device, task.emit)
        self.gradient = StepGradient.of(task, self.parameters, self.task.stop.check)
        if task.start is not None:
            self._restore(task.start)
        self.started, self.first = time.perf_counter(), self.course.step

    def _keep_constant_states(self) -> Passes:
        """The passes of training rows, without the layers that give the same in every epoch."""
        passes = self.fitting.every
        visits = self.plan.total_steps * self.plan.batch_size
        if not isinstance(passes, PackedPasses) or visits < WORTH_KEEPING * len(self.task.train):
            return passes
        kept = keep_constant_states(passes, self.task.train, between=self.task.stop.check)
        if kept is None:
            return passes
        layers = f"the lowest {len(kept.layers)} layers are not adapted, so their states were computed once"
        self.task.emit(Notice("training.constant-states", f"{layers} and are kept ({kept.bytes / 1e6:.0f} MB)"))
        return replace(passes, constant=kept)

    def run(self) -> Trained:
        self.task.model.train()
        stopped = self._steps()
        self.task.model.eval()
        course = self.course
        if stopped != "finished":
            self.task.emit(RunStopped(course.step, stopped))
        if self.best:
            self._load(self.best)
        return Trained.of(course, stopped, saved_step=course.best_step if self.best else course.step)

    def _steps(self) -> Stopped:
        try:
            self.task.stop.check()
            sample = self.task.train[: self.plan.batch_size]
            self.fitting.training = self.fitting.attempt(self._keep_constant_states, step=0, rows=sample)
            if self._validation_interrupted() and self._validate(self.course.step):
                return "early_stopping"
            for step in range(self.course.step + 1, self.plan.total_steps + 1):
                self._step(step)
                if self._validation_due(step) and self._validate(step):
                    return "early_stopping"
                if self._snapshot_due(step):
                    self.task.keep(self._snapshot())
        except StopRequestedError:
            self._forget_gradient()
            if self.task.stop.saving:
                self.task.keep(self._snapshot())
            return "requested"
        return "finished"

    def _step(self, step: int) -> None:
        began = time.perf_counter()
        rows = [self.task.train[i] for i in self.plan.row_numbers(step)]
        rate = learning_rate(self.task.section, step, self.plan.total_steps)

        def take() -> LossPoint:
            loss, norm = self.gradient.compute(self.fitting.training, step, rows)
            point = LossPoint(step, loss, rate, norm)
            self._apply(point)
            return point

        point = self.fitting.attempt(take, step=step, rows=rows, undo=self._forget_gradient)
        self._forget_gradient()
        self._record(point, rows, began)

    def _apply(self, point: LossPoint) -> None:
        """Move the weights, unless the loss has jumped and the recipe does not want such steps."""
        usual = loss_spike(point.loss, self.course.history)
        if usual is not None:
            skipped = self.task.section.on_loss_spike == "skip"
            self.task.emit(LossSpike(point.step, point.loss, usual, skipped))
            if skipped:
                return
        for group in self.optimizer.param_groups:
            group["lr"] = point.learning_rate
        self.optimizer.step()

    def _forget_gradient(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    def _record(self, point: LossPoint, rows: Sequence[TokenRow], began: float) -> None:
        now, course = time.perf_counter(), self.course
        tokens = sum(len(row.ids) for row in rows)
        course.tokens += tokens
        course.peak_memory = max(course.peak_memory, self.gradient.peak_memory)
        course.history.append(point)
        a_step = (now - self.started) / (point.step - self.first)
        self.task.emit(
            StepFinished(
                step=point.step,
                total_steps=self.plan.total_steps,
                epoch=self.plan.epoch_after(point.step),
                loss=point.loss,
                learning_rate=point.learning_rate,
                gradient_norm=point.gradient_norm,
                tokens=tokens,
                tokens_per_second=tokens / (now - began),
                peak_memory_bytes=course.peak_memory,
                seconds_left=a_step * (self.plan.total_steps - point.step),
            )
        )

    def _validation_due(self, step: int) -> bool:
        if not self.task.validation or step == 0:
            return False
        every = self.task.section.eval_every_steps or self.plan.steps_per_epoch
        return step % every == 0 or step == self.plan.total_steps

    def _validation_interrupted(self) -> bool:
        """Whether the run that left the snapshot was stopped in the measurement after its last step."""
        measured = self.course.validations[-1].step if self.course.validations else 0
        return self._validation_due(self.course.step) and measured != self.course.step

    def _validate(self, step: int) -> bool:
        """Measure the validation rows; whether the run should give up."""
        rows = self.task.validation
        metrics = self.fitting.attempt(
            lambda: measure(self.task.model, self.fitting.every, rows, between=self.task.stop.check),
            step=step,
            rows=rows,
        )
        metrics.update(self._watched_score())
        verdict = self.watch.judge(metrics)
        if verdict.best and self.task.section.keep == "best":
            self.best = self._weights()
            self.course.best_step = step
        self.course.validations.append(ValidationPoint(step, metrics))
        self.task.emit(EvaluationFinished(step, metrics, verdict.best))
        return verdict.give_up

    def _watched_score(self) -> Mapping[str, float]:
        try:
            return self.task.score()
        except StopRequestedError:
            raise
        except Exception:
            # An evaluator may be somebody else's code, and may fail after hours: what was learnt until now is kept.
            self.task.keep(self._snapshot())
            raise

    def _snapshot_due(self, step: int) -> bool:
        every = self.task.section.checkpoint_every_steps or self.plan.steps_per_epoch
        return step % every == 0 or step == self.plan.total_steps

    def _snapshot(self) -> Snapshot:
        facts = {"course": self.course.facts(), "watch": self.watch.facts(), "max_rows": self.fitting.max_rows}
        moved = moments(self.optimizer, self.parameters)
        return Snapshot(self.course.step, self._weights(), moved, self.best, facts)

    def _restore(self, start: Snapshot) -> None:
        start.require_fits(self.parameters)
        self._load(start.adapter)
        restore_moments(self.optimizer, self.parameters, start.optimizer)
        self.best = dict(start.best)
        self.course = Course.of(start.facts["course"])
        self.watch.restore(start.facts["watch"])
        self.fitting.limit(start.facts["max_rows"])

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().to("cpu", copy=True) for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def _load(self, weights: Mapping[str, torch.Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(weights[name])
