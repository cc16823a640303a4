"""Rotary position embedding of queries and keys together, with the halves of a head rotated against each other.

Su et al., "RoFormer" (2021), in the layout of transformers' `apply_rotary_pos_emb`: x∘cos + (−x₂, x₁)∘sin.
"""

from __future__ import annotations

from typing import Any

import torch


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate every head of every token.

    Args:
        x: (tokens, heads, head size), contiguous.
        cos: (tokens, head size).
        sin: as `cos`.
    """
    output: torch.Tensor = _Rotate.apply(x, cos, sin)
    return output


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        # A product with the permutation is exact, and needs no copies of halves.
        turned = x @ _quarter_turn(x)
        return (x * cos[:, None]).addcmul_(turned, sin[:, None])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        turned = (grad * sin[:, None]) @ _quarter_turn(grad).T
        return turned.addcmul_(grad, cos[:, None]), None, None


def _quarter_turn(x: torch.Tensor) -> torch.Tensor:
    """(head size, head size): takes (x₁, x₂) to (−x₂, x₁)."""
    size, half = x.shape[-1], x.shape[-1] // 2
    turn = x.new_zeros(size, size)
    turn[half:, :half].fill_diagonal_(-1)
    turn[:half, half:].fill_diagonal_(1)
    return turn
