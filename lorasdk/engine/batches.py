"""Which rows each optimizer step takes, and how rows become one padded tensor.

The order is a pure function of row count, batch size and seed: no state to save, and none to lose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from lorasdk.data.encoding import TokenRow

IGNORED = -100
"""Label of a position that the loss is not taken on, as in torch's cross-entropy."""
WORTH_SHARING = 16
"""Common tokens from which a pass of their own costs less than repeating them in each row."""


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


@lru_cache(maxsize=2)
def _permutation(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch; remembered, since each of its steps asks for it."""
    order = np.random.default_rng((seed, epoch)).permutation(rows)
    order.setflags(write=False)
    return order


def micro_batches(rows: Sequence[TokenRow], size: int | None) -> Iterator[list[TokenRow]]:
    """Cut a step's rows into forward passes of at most `size`, rows of like length together."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    size = size or len(ordered)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """Rows of one forward pass: the tokens they all begin with once, then each row's own.

    The own parts are padded on the left to one length, so that answers, which end rows, share their last positions.
    """

    prefix_ids: torch.Tensor
    """(shared,) int64: tokens that all rows begin with; empty when that is not worth a pass of its own."""
    input_ids: torch.Tensor
    """(rows, length) int64: each row's own tokens."""
    attention_mask: torch.Tensor
    """(rows, shared + length) int64, 0 on padding."""
    position_ids: torch.Tensor
    """(rows, length) int64, from `shared` at each row's first own token."""
    keep: torch.Tensor
    """(kept,) int64: positions whose next token is supervised in at least one row."""
    labels: torch.Tensor
    """(rows, kept) int64: that next token, or `IGNORED` where it is not supervised in this row."""


def pad(rows: Sequence[TokenRow], *, device: torch.device, share_prefix: bool = False) -> PaddedBatch:
    """Put rows into one batch; padding is masked, so its token id does not matter.

    Args:
        rows: at least one.
        device: where the tensors go.
        share_prefix: take out the tokens that all rows begin with, if there are many.
    """
    shared = _shared_length(rows) if share_prefix else 0
    length = max(len(row.ids) for row in rows) - shared
    input_ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    targets = torch.full_like(input_ids, IGNORED)
    for i, row in enumerate(rows):
        offset = length - len(row.ids)
        ids = torch.tensor(row.ids)
        input_ids[i, offset + shared :] = ids[shared:]
        mask[i, offset + shared :] = 1
        for start, end in row.spans:
            targets[i, offset + start - 1 : offset + end - 1] = ids[start:end]
    keep = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
    tensors = (
        torch.tensor(rows[0].ids[:shared], dtype=torch.long),
        input_ids,
        torch.cat([mask.new_ones(len(rows), shared), mask], dim=1),
        shared + (mask.cumsum(dim=1) - 1).clamp(min=0),
        keep,
        targets[:, keep],
    )
    return PaddedBatch(*(tensor.to(device) for tensor in tensors))


def _shared_length(rows: Sequence[TokenRow]) -> int:
    """How many first tokens all rows have in common, the last one before a supervised token left to each row."""
    if len(rows) == 1:
        return 0
    limit = min(start - 1 for row in rows for start, _ in row.spans[:1])
    first, *others = rows
    length = next((i for i in range(limit) if any(row.ids[i] != first.ids[i] for row in others)), limit)
    return length if length >= WORTH_SHARING else 0
