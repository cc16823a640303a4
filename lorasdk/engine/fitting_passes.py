"""Passes that become smaller when memory runs out: a step is computed in more parts, but it stays the same step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.out_of_memory import Shortage, shortage_in
from lorasdk.errors import Problem, ResourceError
from lorasdk.events import Emit, MicroBatchHalved
from lorasdk.forward.passes import Passes

T = TypeVar("T")


@dataclass
class FittingPasses:
    """How passes are computed now, and how many rows they may hold."""

    every: Passes
    """For any rows."""
    training: Passes
    """For training rows, of which more may be known."""
    device: torch.device
    emit: Emit
    max_rows: int | None = None
    """Set when memory ran out; part of the state of a training, since it decides how dropout falls."""

    def limit(self, max_rows: int | None) -> None:
        """Let no pass hold more rows than this."""
        self.max_rows = max_rows
        if max_rows is not None:
            self.every, self.training = self.every.limited(max_rows), self.training.limited(max_rows)

    def attempt(
        self, work: Callable[[], T], *, step: int, rows: Sequence[TokenRow], undo: Callable[[], None] = lambda: None
    ) -> T:
        """Do `work`, again with half the rows in a pass for as long as memory runs out.

        Args:
            work: may be called several times.
            step: the optimizer step, for the announcement.
            rows: what the passes are made from.
            undo: drops what an attempt left behind.

        Raises:
            ResourceError: not even one row at a time fits.
        """
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                shortage = shortage_in(error, self.device)
                if shortage is None:
                    raise
            # After the handler, whose exception holds on to the tensors of the pass that failed.
            undo()
            self._halve(shortage, step, rows)

    def _halve(self, shortage: Shortage, step: int, rows: Sequence[TokenRow]) -> None:
        most = max(map(len, self.training.split(rows)))
        if most == 1:
            raise ResourceError(_too_long(shortage, step, rows))
        self.every.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.limit(most // 2)
        self.emit(MicroBatchHalved(step, most // 2, str(shortage)))


def _too_long(shortage: Shortage, step: int, rows: Sequence[TokenRow]) -> Problem:
    longest = max(rows, key=lambda row: len(row.ids))
    return Problem(
        code="training.out-of-memory",
        message=f"memory ran out in step {step}, one row at a time: {shortage}",
        place=f"row {longest.row}, the longest of the step, has {len(longest.ids)} tokens",
        found=shortage.message,
        fix="lower data.max_tokens, set training.gradient_checkpointing: true, or base_model.quantization: nf4",
    )
