"""Root-mean-square norm with frozen weights: y = w ∘ x / √(mean(x²) + ε), and its gradient by x alone.

Equation 4 of Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019).
"""

from __future__ import annotations

from typing import Any

import torch


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Normalise the last dimension in float32; saves `x` and one number per row.

    Args:
        x: (…, size).
        weight: (size,) float32, what rows are multiplied by; no gradient is computed for it.
        epsilon: added to the mean square.
    """
    output: torch.Tensor = _RmsNorm.apply(x, weight, epsilon)
    return output


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        epsilon: float,
    ) -> torch.Tensor:
        # A copy even of float32, since it is written to.
        wide = x.to(torch.float32, copy=True)
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = (length.square_() / x.shape[-1] + epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return wide.mul_(inverse).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, weight, inverse = ctx.saved_tensors
        wide = grad.to(torch.float32, copy=True).mul_(weight)
        x32 = x.to(torch.float32)
        along = (wide * x32).sum(-1, keepdim=True)
        along *= inverse.pow(3).div_(-x.shape[-1])
        return wide.mul_(inverse).addcmul_(x32, along).to(x.dtype), None, None
