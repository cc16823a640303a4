"""What training and scoring ask of a way to compute forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

import torch

from lorasdk.data.encoding import TokenRow


@dataclass(frozen=True, slots=True)
class RowScore:
    """How well a model foresees the supervised tokens of a row."""

    nats: float
    """Σ −log p(token | everything before it in its row)."""
    correct: int
    """Tokens that were the likeliest."""
    tokens: int
    """Supervised tokens."""


class Passes(Protocol):
    """A way to compute forward passes; all ways give the same loss and gradients."""

    def split(self, rows: Sequence[TokenRow]) -> list[list[TokenRow]]:
        """Cut rows into forward passes that fit."""
        ...

    def limited(self, max_rows: int) -> Self:
        """The same with at most that many rows in a pass."""
        ...

    def forget(self) -> None:
        """Let go of memory that is kept for the next pass."""
        ...

    def ready(self, key: int = 0) -> AbstractContextManager[None]:
        """While open, the model computes in this way; `loss`, its backward pass and `scores` belong inside.

        Args:
            key: decides what dropout leaves out of a pass in training.
        """
        ...

    def loss(self, rows: Sequence[TokenRow]) -> torch.Tensor:
        """() float32, differentiable: nats summed over the supervised tokens of one pass."""
        ...

    def scores(self, rows: Sequence[TokenRow]) -> list[RowScore]:
        """The score of each row of one pass."""
        ...
