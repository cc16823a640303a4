"""The gate of a gated feed-forward block, act(g)∘u, saving g and u and nothing between."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch.nn.functional import gelu, silu

from lorasdk.forward.activation_memory import Lease

Activation: TypeAlias = Literal["silu", "gelu_tanh"]


def gated_product(
    gate: torch.Tensor, up: torch.Tensor, activation: Activation, *, lease: Lease | None = None
) -> torch.Tensor:
    """act(gate) ∘ up, all of one shape; `lease` is the one that gate and up are from, if they are."""
    output: torch.Tensor = _GatedProduct.apply(gate, up, activation, lease)
    return output


class _GatedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gate: torch.Tensor,
        up: torch.Tensor,
        activation: Activation,
        lease: Lease | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation, ctx.lease = activation, lease
        return _act(gate, activation).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        gate, up = ctx.saved_tensors
        dup = _act(gate, ctx.activation).mul_(grad)
        dact = grad * up
        if ctx.activation == "silu":
            return torch.ops.aten.silu_backward(dact, gate), dup, None, None
        return torch.ops.aten.gelu_backward(dact, gate, approximate="tanh"), dup, None, None


def _act(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    return silu(x) if activation == "silu" else gelu(x, approximate="tanh")
