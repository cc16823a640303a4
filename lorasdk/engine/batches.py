"""Which rows each optimizer step takes.

The order is a pure function of row count, batch size and seed: no state to save, and none to lose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lorasdk.recipe.meaning import DEFAULT_EPOCHS
from lorasdk.recipe.schema import TrainingSection


@dataclass(frozen=True)
class BatchPlan:
    """The course of a training: rows per step, epoch after epoch, each row once per epoch."""

    rows: int
    """Training rows, at least 1."""
    batch_size: int
    """Rows per step; the last step of an epoch may have fewer."""
    seed: int
    """Of the order."""
    total_steps: int
    """Steps of the whole training."""

    @classmethod
    def of(cls, rows: int, *, batch_size: int, seed: int, epochs: float | None, max_steps: int | None) -> BatchPlan:
        """Plan `max_steps` steps or, when that is None, `epochs` passes (a fraction rounds up to a whole step)."""
        per_epoch = math.ceil(rows / batch_size)
        return cls(rows, batch_size, seed, max_steps or math.ceil((epochs or 0) * per_epoch))

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every row is seen once."""
        return math.ceil(self.rows / self.batch_size)

    def row_numbers(self, step: int) -> list[int]:
        """Indices of the rows that `step` (from 1) takes."""
        epoch, position = divmod(step - 1, self.steps_per_epoch)
        start = position * self.batch_size
        return [int(i) for i in self._order(epoch)[start : start + self.batch_size]]

    def epoch_after(self, step: int) -> float:
        """Passes over the rows after `step`, as a fraction."""
        return step / self.steps_per_epoch

    def _order(self, epoch: int) -> np.ndarray:
        return _permutation(self.rows, self.seed, epoch)


def plan_of(section: TrainingSection, rows: int) -> BatchPlan:
    """Which of that many rows each step takes."""
    return BatchPlan.of(
        rows,
        batch_size=section.batch_size,
        seed=section.seed,
        epochs=section.epochs if section.max_steps or section.epochs else DEFAULT_EPOCHS,
        max_steps=section.max_steps,
    )


@lru_cache(maxsize=2)
def _permutation(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch; remembered, since each of its steps asks for it."""
    order = np.random.default_rng((seed, epoch)).permutation(rows)
    order.setflags(write=False)
    return order
