"""One training that computes nothing: its events, its folder, its result."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lorasdk.artifacts.passport import read_passport
from lorasdk.checkpoints.whole_file import write_whole_json
from lorasdk.contracts import VALIDATION_METRICS, Example
from lorasdk.engine.batches import BatchPlan, plan_of
from lorasdk.engine.schedule import learning_rate
from lorasdk.errors import LorasdkError, TrainingError
from lorasdk.evaluation.scoring import Subject, aggregate, score
from lorasdk.events import (
    AdapterAttached,
    AdapterSaved,
    BaseModelLoaded,
    DataPrepared,
    EvaluationFinished,
    RunStarted,
    RunStopped,
    StepFinished,
)
from lorasdk.heavy_rooms import TrainingOrder
from lorasdk.refusals import abandoned
from lorasdk.resolving import Resolved
from lorasdk.results import LossPoint, TrainResult, ValidationPoint
from lorasdk.runs.folder import ADAPTER, PASSPORT
from lorasdk.stopping import StopRequestedError
from lorasdk.testing.fake_passport import fake_passport
from lorasdk.testing.fake_predictor import Answers, FakePredictor

FIRST_LOSS, FALL = 4.0, 0.9
"""Nats before the first step, and the factor of each."""
ATTACHED = AdapterAttached(trainable_parameters=1_000, total_parameters=101_000, modules=("fake.q_proj",))
TOKENS_PER_SECOND, PEAK_BYTES = 1_000.0, 1_000_000


@dataclass(frozen=True)
class FakeCourse:
    """How a training goes."""

    answers: Answers
    fails_at: int | None
    error: LorasdkError | None
    seconds_per_step: float


@dataclass
class FakeRun:
    """A training from its first event to its result."""

    resolved: Resolved
    course: FakeCourse
    order: TrainingOrder
    history: list[LossPoint] = field(default_factory=list)
    validations: list[ValidationPoint] = field(default_factory=list)
    tokens: int = 0

    def run(self) -> TrainResult:
        """Announce, step, save.

        Raises:
            TrainingError: it was stopped, and nothing was to be saved.
            LorasdkError: the error that the test wants.
        """
        recipe, order = self.resolved.recipe, self.order
        begun = _steps_of(order.run_dir / ADAPTER)
        order.emit(RunStarted(order.run_dir, recipe.name, recipe.fingerprint, begun))
        for event in self._preparation():
            order.emit(event)
        stopped: Literal["finished", "requested"] = "finished" if self._taken(begun) else "requested"
        steps = begun + len(self.history)
        if stopped == "requested":
            order.emit(RunStopped(steps, stopped))
            if not order.stop.saving:
                raise TrainingError(abandoned(order.run_dir, steps))
        result = self._result(steps, stopped, begun)
        result.adapter_dir.mkdir(exist_ok=True)
        passport = fake_passport(recipe, result, order.splits)
        write_whole_json(result.adapter_dir / PASSPORT, passport.model_dump(mode="json"))
        order.emit(AdapterSaved(result.adapter_dir, steps))
        return result

    def _preparation(self) -> Iterator[DataPrepared | BaseModelLoaded | AdapterAttached]:
        for name, examples in self.order.splits.items():
            lengths = [words(example) for example in examples.items]
            yield DataPrepared(name, len(lengths), examples.skipped, sum(lengths), sum(lengths), max(lengths))
        section = self.resolved.recipe.base_model
        base = ATTACHED.total_parameters - ATTACHED.trainable_parameters
        yield BaseModelLoaded(section.source, "cpu", "float32", section.quantization, base, 0.0)
        yield ATTACHED

    def _taken(self, begun: int) -> bool:
        """Take all steps; whether the host let us."""
        if not self.order.splits:
            return False
        rows = self.order.splits["train"].items
        plan = plan_of(self.resolved.recipe.training, len(rows))
        try:
            for step in range(begun + 1, plan.total_steps + 1):
                self._wait(step)
                self._step(step, plan, [rows[i] for i in plan.row_numbers(step)])
                self._validate(step, plan)
        except StopRequestedError:
            return False
        return True

    def _wait(self, step: int) -> None:
        time.sleep(self.course.seconds_per_step)
        self.order.stop.check()
        if step == self.course.fails_at and self.course.error is not None:
            raise self.course.error

    def _step(self, step: int, plan: BatchPlan, rows: list[Example]) -> None:
        rate = learning_rate(self.resolved.recipe.training, step, plan.total_steps)
        point = LossPoint(step, FIRST_LOSS * FALL**step, rate, gradient_norm=1.0)
        tokens = sum(map(words, rows))
        self.tokens += tokens
        self.history.append(point)
        self.order.emit(
            StepFinished(
                step=step,
                total_steps=plan.total_steps,
                epoch=plan.epoch_after(step),
                loss=point.loss,
                learning_rate=point.learning_rate,
                gradient_norm=point.gradient_norm,
                tokens=tokens,
                tokens_per_second=TOKENS_PER_SECOND,
                peak_memory_bytes=PEAK_BYTES,
                seconds_left=(plan.total_steps - step) * self.course.seconds_per_step,
            )
        )

    def _validate(self, step: int, plan: BatchPlan) -> None:
        every = self.resolved.recipe.training.eval_every_steps or plan.steps_per_epoch
        if "validation" not in self.order.splits or (step % every and step != plan.total_steps):
            return
        loss = FIRST_LOSS * FALL**step
        metrics = dict(zip(VALIDATION_METRICS, (loss, math.exp(loss), 1 - loss / FIRST_LOSS), strict=True))
        watched = self.resolved.metric_evaluator
        if watched is not None:
            examples, order = self.order.splits["validation"].items, self.order
            subject = Subject("validation", FakePredictor(self.course.answers), examples, order.emit, order.stop.check)
            metrics[watched.evaluator.name] = aggregate(watched.evaluator, score(watched, subject))
        self.validations.append(ValidationPoint(step, metrics))
        self.order.emit(EvaluationFinished(step, metrics, best=True))

    def _result(self, steps: int, stopped: Literal["finished", "requested"], begun: int) -> TrainResult:
        return TrainResult(
            adapter_dir=self.order.run_dir / ADAPTER,
            run_dir=self.order.run_dir,
            steps=steps,
            saved_step=steps,
            stopped=stopped,
            history=tuple(self.history),
            validations=tuple(self.validations),
            trainable_parameters=ATTACHED.trainable_parameters,
            total_parameters=ATTACHED.total_parameters,
            tokens=self.tokens,
            seconds=time.perf_counter() - self.order.began,
            peak_memory_bytes=PEAK_BYTES,
            resumed_from=begun,
        )


def words(example: Example) -> int:
    """What counts as the tokens of an example."""
    return len((example.text or " ".join(turn.content for turn in example.messages)).split())


def _steps_of(adapter_dir: Path) -> int:
    """Steps that an earlier call of the same run has taken."""
    return read_passport(adapter_dir).training.steps if (adapter_dir / PASSPORT).is_file() else 0
