"""The gate of a gated feed-forward block, act(g)∘u, saving g and u and nothing between."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch.nn.functional import gelu, silu

Activation: TypeAlias = Literal["silu", "gelu_tanh"]


def gated_product(gate: torch.Tensor, up: torch.Tensor, activation: Activation) -> torch.Tensor:
    """act(gate) ∘ up, all of one shape."""
    output: torch.Tensor = _GatedProduct.apply(gate, up, activation)
    return output


class _GatedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gate: torch.Tensor,
        up: torch.Tensor,
        activation: Activation,
    ) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        return _act(gate, activation).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        gate, up = ctx.saved_tensors
        dup = _act(gate, ctx.activation).mul_(grad)
        dact = grad * up
        if ctx.activation == "silu":
            return torch.ops.aten.silu_backward(dact, gate), dup, None
        return torch.ops.aten.gelu_backward(dact, gate, approximate="tanh"), dup, None


def _act(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    return silu(x) if activation == "silu" else gelu(x, approximate="tanh")
