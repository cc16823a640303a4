"""What training and scoring ask of a way to compute forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.forward.divergence import Foresight


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

    @property
    def plain_head(self) -> bool:
        """Whether logits are exactly the hidden states times a frozen output embedding."""
        ...

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
        """While open, the model computes in this way; everything below, and the backward pass, belongs inside.

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

    def foresight(self, rows: Sequence[TokenRow]) -> Foresight:
        """What the model foresees at the supervised tokens of one pass, in the order of rows and of their tokens.

        Holds states, or logits where the head is not plain: then few rows are to be given.
        """
        ...
