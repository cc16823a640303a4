"""The gradient of one optimizer step: accumulated over its passes, clipped, and let through only if it is finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.gate import require_finite
from lorasdk.engine.memory import memory_bytes
from lorasdk.engine.task import TrainingTask
from lorasdk.forward.pass_randomness import mixed
from lorasdk.forward.passes import Passes

HALF_PRECISION_LOSS_SCALE = 1024.0
"""Keeps small gradients above float16's smallest numbers; a power of two, so that undoing it is exact."""


@dataclass
class StepGradient:
    """Computes into the ``grad`` of parameters."""

    parameters: Mapping[str, torch.nn.Parameter]
    seed: int
    max_norm: float | None
    """Gradients are scaled down to it."""
    scale: float
    """Of the loss in the backward pass."""
    device: torch.device
    between: Callable[[], None]
    """Called before each pass; may raise to end the step."""
    peak_memory: int = 0
    """Bytes, the highest seen after a forward pass."""

    @classmethod
    def of(
        cls, task: TrainingTask, parameters: Mapping[str, torch.nn.Parameter], between: Callable[[], None]
    ) -> StepGradient:
        """As the recipe's ``training`` section says."""
        half = any(p.dtype == torch.float16 for p in task.model.parameters())
        scale = HALF_PRECISION_LOSS_SCALE if half else 1.0
        section = task.section
        return cls(parameters, section.seed, section.max_grad_norm, scale, task.model.device, between)

    def compute(self, passes: Passes, step: int, rows: Sequence[TokenRow]) -> tuple[float, float]:
        """Loss and gradient norm, of the mean loss per supervised token over all of the step's rows.

        Raises:
            TrainingError: one of them is not finite.
        """
        loss = self._backward(passes, step, rows)
        norm = self._clip()
        require_finite(norm, what="gradient", step=step, rows=rows)
        return loss, norm

    def _backward(self, passes: Passes, step: int, rows: Sequence[TokenRow]) -> float:
        supervised = sum(row.supervised_tokens for row in rows)
        total = 0.0
        for number, part in enumerate(passes.split(rows)):
            self.between()
            with passes.ready(mixed(self.seed, step, number)):
                nats = passes.loss(part)
                require_finite(nats.item(), what="loss", step=step, rows=part)
                self.peak_memory = max(self.peak_memory, memory_bytes(self.device))
                torch.autograd.backward(nats * (self.scale / supervised))
            total += nats.item()
            del nats  # and with it the graph, whose memory the next pass uses
        return total / supervised

    def _clip(self) -> float:
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        if self.scale != 1.0:
            torch._foreach_mul_(gradients, 1 / self.scale)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.max_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), self.max_norm, norm)
        return norm.item()
