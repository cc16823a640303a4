"""Guards the weights: a loss or gradient that is not finite ends the run before its step, a loss that jumps is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from lorasdk.data.encoding import TokenRow
from lorasdk.errors import Problem, TrainingError
from lorasdk.results import LossPoint

SHOWN_ROWS = 20
SPIKE = 10.0
"""A loss that many times the usual one has jumped."""
USUAL_STEPS = 16
"""Steps whose median loss is the usual one; half of them must be there."""


def require_finite(value: float, *, what: str, step: int, rows: Sequence[TokenRow]) -> None:
    """Let a finite number pass.

    Args:
        value: the loss or the gradient norm.
        what: ``loss`` or ``gradient``.
        step: the optimizer step that was about to be taken.
        rows: the rows it came from.

    Raises:
        TrainingError: `value` is NaN or infinite.
    """
    if math.isfinite(value):
        return
    numbers = ", ".join(str(row.row) for row in rows[:SHOWN_ROWS]) + (", …" if len(rows) > SHOWN_ROWS else "")
    raise TrainingError(
        Problem(
            code=f"training.{what}-not-finite",
            message=f"the {what} of step {step} is {value}; the step was not taken and nothing was saved after it",
            place=f"train rows {numbers}",
            field="training.learning_rate",
            found=str(value),
            allowed="a finite number",
            fix="lower training.learning_rate, look at these rows, or set base_model.dtype: float32",
        )
    )


def loss_spike(loss: float, history: Sequence[LossPoint]) -> float | None:
    """The usual loss, nats per supervised token, if `loss` has jumped away from it."""
    recent = [point.loss for point in history[-USUAL_STEPS:]]
    if len(recent) < USUAL_STEPS // 2:
        return None
    usual = median(recent)
    return usual if loss > SPIKE * usual else None
