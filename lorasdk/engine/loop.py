"""The training loop: one optimizer step after another, watched, stoppable, and exact about what each step computes.

It knows token rows and a PEFT model; it knows nothing of recipes' files, plugins or folders.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.batches import BatchPlan
from lorasdk.engine.gate import require_finite
from lorasdk.engine.memory import memory_bytes
from lorasdk.engine.optimizer import adamw
from lorasdk.engine.schedule import learning_rate
from lorasdk.engine.task import Trained, TrainingTask
from lorasdk.engine.validation import measure
from lorasdk.engine.watch import MetricWatch
from lorasdk.events import EvaluationFinished, Notice, RunStopped, StepFinished
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.constant_states import keep_constant_states
from lorasdk.forward.kernel_notice import kernel_notice
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.pass_randomness import mixed
from lorasdk.forward.passes import Passes
from lorasdk.recipe.meaning import DEFAULT_EPOCHS
from lorasdk.results import LossPoint, ValidationPoint

PACK_TOKENS = 2048
"""Tokens of a forward pass when the recipe leaves it open."""
WORTH_KEEPING = 2
"""Visits to each row from which it pays to keep what layers without an adapter make of it."""
HALF_PRECISION_LOSS_SCALE = 1024.0
"""Keeps small gradients above float16's smallest numbers; a power of two, so that undoing it is exact."""


class _StopRequestedError(Exception):
    """Leaves a step, or a measurement, that the host no longer wants."""


def run_training(task: TrainingTask) -> Trained:
    """Train `task.model` in place and tell how it went.

    Dropout draws from a state that depends on seed, step and micro-batch alone, and not from the global one.

    Raises:
        TrainingError: a loss or gradient is not finite, or the watched metric is missing; the step was not taken.
    """
    return _Loop(task).run()


@dataclass
class _Loop:
    task: TrainingTask
    history: list[LossPoint] = field(default_factory=list)
    validations: list[ValidationPoint] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    saved_step: int = 0
    tokens: int = 0
    peak_memory: int = 0

    def __post_init__(self) -> None:
        task, section = self.task, self.task.section
        epochs = section.epochs if section.max_steps or section.epochs else DEFAULT_EPOCHS
        self.plan = BatchPlan.of(
            len(task.train),
            batch_size=section.batch_size,
            seed=section.seed,
            epochs=epochs,
            max_steps=section.max_steps,
        )
        self.parameters = {n: p for n, p in task.model.named_parameters() if p.requires_grad}
        self.optimizer = adamw(list(self.parameters.values()), section.weight_decay)
        self.watch = MetricWatch(section.metric, task.higher_is_better, section.early_stopping)
        self.loss_scale = self._scale()
        self.passes = self.training_passes = self._choose_passes()
        self.started = time.perf_counter()

    def _scale(self) -> float:
        half = any(p.dtype == torch.float16 for p in self.task.model.parameters())
        return HALF_PRECISION_LOSS_SCALE if half else 1.0

    def _choose_passes(self) -> Passes:
        section = self.task.section
        choice = choose_passes(
            self.task.model,
            max_tokens=section.pack_tokens or PACK_TOKENS,
            max_rows=section.micro_batch,
            checkpointing=section.gradient_checkpointing,
        )
        if choice.why_padded:
            self.task.emit(Notice("training.padded", f"rows are padded, not packed: {choice.why_padded}"))
        elif notice := kernel_notice(self.task.model):
            self.task.emit(notice)
        return choice.passes

    def _keep_constant_states(self) -> Passes:
        """The passes of training rows, without the layers that give the same in every epoch."""
        visits = self.plan.total_steps * self.plan.batch_size
        if not isinstance(self.passes, PackedPasses) or visits < WORTH_KEEPING * len(self.task.train):
            return self.passes
        kept = keep_constant_states(self.passes, self.task.train, between=self._check_stop)
        if kept is None:
            return self.passes
        layers = f"the lowest {len(kept.layers)} layers are not adapted, so their states were computed once"
        self.task.emit(Notice("training.constant-states", f"{layers} and are kept ({kept.bytes / 1e6:.0f} MB)"))
        return replace(self.passes, constant=kept)

    def run(self) -> Trained:
        self.task.model.train()
        stopped = self._steps()
        self.task.model.eval()
        if stopped != "finished":
            self.task.emit(RunStopped(len(self.history), stopped))
        if self.best:
            self._restore_best()
        else:
            self.saved_step = len(self.history)
        return Trained(
            steps=len(self.history),
            saved_step=self.saved_step,
            stopped=stopped,
            history=tuple(self.history),
            validations=tuple(self.validations),
            tokens=self.tokens,
            peak_memory_bytes=self.peak_memory,
        )

    def _steps(self) -> Literal["finished", "early_stopping", "requested"]:
        try:
            self.training_passes = self._keep_constant_states()
            for step in range(1, self.plan.total_steps + 1):
                self._step(step)
                if self._validation_due(step) and self._validate(step):
                    return "early_stopping"
        except _StopRequestedError:
            self.optimizer.zero_grad(set_to_none=True)
            return "requested"
        return "finished"

    def _step(self, step: int) -> None:
        section = self.task.section
        began = time.perf_counter()
        rows = [self.task.train[i] for i in self.plan.row_numbers(step)]
        loss = self._backward(step, rows)
        norm = self._clip()
        require_finite(norm, what="gradient", step=step, rows=rows)
        rate = learning_rate(section, step, self.plan.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._record(LossPoint(step, loss, rate, norm), rows, began)

    def _backward(self, step: int, rows: Sequence[TokenRow]) -> float:
        """Accumulate the gradient of the mean loss per supervised token over all of the step's rows."""
        supervised = sum(row.supervised_tokens for row in rows)
        device = self.task.model.device
        total = 0.0
        passes = self.training_passes
        for number, part in enumerate(passes.split(rows)):
            self._check_stop()
            with passes.ready(mixed(self.task.section.seed, step, number)):
                nats = passes.loss(part)
                require_finite(nats.item(), what="loss", step=step, rows=part)
                self.peak_memory = max(self.peak_memory, memory_bytes(device))
                torch.autograd.backward(nats * (self.loss_scale / supervised))
            total += nats.item()
            del nats  # and with it the graph, whose memory the next pass uses
        return total / supervised

    def _clip(self) -> float:
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        if self.loss_scale != 1.0:
            torch._foreach_mul_(gradients, 1 / self.loss_scale)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.task.section.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), self.task.section.max_grad_norm, norm)
        return norm.item()

    def _record(self, point: LossPoint, rows: Sequence[TokenRow], began: float) -> None:
        now = time.perf_counter()
        tokens = sum(len(row.ids) for row in rows)
        self.tokens += tokens
        self.history.append(point)
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
                peak_memory_bytes=self.peak_memory,
                seconds_left=(now - self.started) / point.step * (self.plan.total_steps - point.step),
            )
        )

    def _validation_due(self, step: int) -> bool:
        if not self.task.validation:
            return False
        every = self.task.section.eval_every_steps or self.plan.steps_per_epoch
        return step % every == 0 or step == self.plan.total_steps

    def _validate(self, step: int) -> bool:
        """Measure the validation rows; whether the run should give up."""
        section = self.task.section
        metrics = measure(self.task.model, self.passes, self.task.validation, between=self._check_stop)
        metrics.update(self.task.score())
        verdict = self.watch.judge(metrics)
        if verdict.best and section.keep == "best":
            self.best = {name: p.detach().to("cpu", copy=True) for name, p in self.parameters.items()}
            self.saved_step = step
        self.validations.append(ValidationPoint(step, metrics))
        self.task.emit(EvaluationFinished(step, metrics, verdict.best))
        return verdict.give_up

    @torch.no_grad()
    def _restore_best(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(self.best[name])

    def _check_stop(self) -> None:
        if self.task.stop.stopped:
            raise _StopRequestedError
