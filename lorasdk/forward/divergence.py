"""Compares what two models foresee at the same tokens: over the whole vocabulary, a few tokens at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lorasdk.forward.linear_cross_entropy import CHUNK_LOGITS, SOFTMAX_LOGITS

FAR = 30.0
"""Nats from which on e^d is all that float32 has of e^d − 1 − d."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a model foresees at the supervised tokens of one pass, row after row."""

    states: torch.Tensor
    """(tokens, size): the states that predict them; without a `head`, (tokens, vocabulary) logits."""
    labels: torch.Tensor
    """(tokens,) int64: the tokens that are there."""
    head: torch.Tensor | None = None
    """(vocabulary, size), W: logits are states·Wᵀ, so that they need not be there all at once."""

    @property
    def vocabulary(self) -> int:
        """Tokens that there are."""
        return self.states.shape[1] if self.head is None else len(self.head)

    def logits(self, part: slice) -> torch.Tensor:
        """(part, vocabulary), in the type of the model."""
        return self.states[part] if self.head is None else self.states[part] @ self.head.T


@dataclass(frozen=True, slots=True)
class Departure:
    """How far one model is from another, summed over tokens; each is 0-dimensional, float64."""

    divergence: torch.Tensor
    """Σ KL(base ‖ tuned), in nats, at least 0."""
    base_nats: torch.Tensor
    """Σ −ln p_base(token)."""
    tuned_nats: torch.Tensor
    """Σ −ln p_tuned(token)."""


@torch.no_grad()
def departure(base: Foresight, tuned: Foresight) -> Departure:
    """Compare two models at the same tokens; beside what is given, the logits of a few tokens are held at once."""
    sums = base.states.new_zeros(3, dtype=torch.float64)
    for ln_p, ln_q, labels in _few_by_few(base, tuned):
        chosen = labels[:, None]
        each = (divergence(ln_p, ln_q), -ln_p.gather(1, chosen), -ln_q.gather(1, chosen))
        sums += torch.stack([nats.sum(dtype=torch.float64) for nats in each])
    return Departure(*sums)


def divergence(ln_p: torch.Tensor, ln_q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) = Σ p·(ln p − ln q), formed as Σ p·(e^d − 1 − d) with d = ln q − ln p.

    The two are the same, since Σ p·e^d = Σ q = 1 = Σ p. But here no term is negative, and what rounding leaves of
    either normalisation enters squared: near 0 the plain sum would be as much rounding as divergence.

    Args:
        ln_p: (rows, vocabulary) float32, normalised.
        ln_q: the same of the other model.

    Returns:
        (rows,) float32, at least 0; exactly 0 where both are the same.
    """
    d = ln_q - ln_p
    # No device promises that e^d − 1 is rounded right in its last bit.
    near = (torch.expm1(d) - d).clamp_(min=0).mul_(ln_p.exp())
    # Far out, p·e^d is q, where p alone may be 0 and e^d infinite.
    return torch.where(d < FAR, near, ln_q.exp()).sum(-1)


def _few_by_few(base: Foresight, tuned: Foresight) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Both models' log-probabilities and the labels: products in large parts, softmaxes in small ones."""
    rows, narrow = (max(1, size // base.vocabulary) for size in (CHUNK_LOGITS, SOFTMAX_LOGITS))
    for start in range(0, len(base.labels), rows):
        part = slice(start, start + rows)
        held = (base.logits(part), tuned.logits(part), base.labels[part])
        for few in zip(*(one.split(narrow) for one in held), strict=True):
            yield *(torch.log_softmax(logits, -1, dtype=torch.float32) for logits in few[:2]), few[2]
