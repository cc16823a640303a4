"""Stops a run before a loss or gradient that is not finite can reach the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lorasdk.data.encoding import TokenRow
from lorasdk.errors import Problem, TrainingError

SHOWN_ROWS = 20


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
