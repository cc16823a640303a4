"""Cross-entropy of a linear head, a few rows at a time: neither all logits nor their gradient are ever held.

The gradient by the hidden states is formed in the forward pass, while a chunk's logits are there; the head is frozen.
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK_LOGITS = 2**24
"""Logits held at once, in the dtype of the model."""
SOFTMAX_LOGITS = 2**19
"""Logits held at once in float32: 2 MiB, which stay in the cache of a CPU."""
CERTAIN = 1e-30
"""Probability below which float32 could round to 0, so that the logarithm is taken the long way."""


def linear_cross_entropy(
    hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Σᵢ wᵢ·(−log softmax(hᵢ·Wᵀ)[labelᵢ]), in nats.

    Args:
        hidden: (rows, size).
        head: (vocabulary, size), W; no gradient is computed for it.
        labels: (rows,) int64.
        weights: (rows,) float32.

    Returns:
        () float32.
    """
    nats: torch.Tensor = _LinearCrossEntropy.apply(hidden, head, labels, weights)
    return nats


@torch.no_grad()
def linear_surprise(
    hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `linear_cross_entropy` sums up, label by label.

    Returns:
        (rows,) float32 nats, and (rows,) bool: whether the label was the likeliest token.
    """
    rows = max(1, SOFTMAX_LOGITS // len(head))
    nats, likeliest = [labels.new_empty(0, dtype=torch.float32)], [labels.new_empty(0, dtype=torch.bool)]
    for few, chosen in zip(hidden.split(rows), labels.split(rows), strict=True):
        logits = few @ head.T
        likeliest.append(logits.argmax(-1) == chosen)
        nats.append(_surprise(logits, chosen))
    return torch.cat(nats), torch.cat(likeliest)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        rows, narrow = (max(1, size // len(head)) for size in (CHUNK_LOGITS, SOFTMAX_LOGITS))
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        surprise = torch.empty_like(weights)
        logits = hidden.new_empty(min(rows, len(hidden)), len(head))
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            held = torch.mm(hidden[part], head.T, out=logits[: len(labels[part])])
            few = zip(held.split(narrow), labels[part].split(narrow), strict=True)
            surprise[part] = torch.cat([_surprise(*pair) for pair in few])
            if gradient is not None:
                torch.mm(held, head, out=gradient[part])
        ctx.save_for_backward(None if gradient is None else gradient.mul_(weights[:, None]))
        return surprise @ weights

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad.to(gradient.dtype), None, None, None


def _surprise(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(rows,) float32: −log softmax(logits)[label]; leaves softmax(logits) − onehot(label) in `logits`."""
    chosen = labels[:, None]
    probabilities = torch.softmax(logits, -1, dtype=torch.float32)
    likely = probabilities.gather(1, chosen)
    surprise = -likely.log()
    rare = (likely < CERTAIN).any(dim=1)
    if rare.any():
        surprise[rare] = -torch.log_softmax(logits[rare].to(torch.float32), -1).gather(1, chosen[rare])
    logits.copy_(probabilities.scatter_(1, chosen, likely - 1))
    return surprise.squeeze(1)
