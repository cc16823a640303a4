"""Linear projections of one input, each with or without a LoRA update: yᵢ = x·Wᵢᵀ + bᵢ + sᵢ·(x∘m/(1−p))·Aᵢᵀ·Bᵢᵀ.

Equation 3 of Hu et al., "LoRA" (2021). Projections that share their input share one product with all of their A. The
base weights are frozen: no gradient is computed for them, and nothing is saved but x and x·Aᵀ. A and B stay the float32
parameters that PEFT made; products are in the dtype of x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear

from lorasdk.forward.activation_memory import Lease, kept
from lorasdk.forward.pass_randomness import Stream


@dataclass(frozen=True, slots=True)
class Update:
    """The LoRA part of a projection."""

    a: torch.nn.Parameter
    """(rank, inputs)."""
    b: torch.nn.Parameter
    """(outputs, rank)."""
    scaling: float
    """α/r, or what the variant makes of it."""
    dropout: float
    """p: chance that an input is left out of the update."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A frozen linear layer with its update."""

    weight: Callable[[], torch.Tensor]
    """Gives the (outputs, inputs) matrix: as it is, or dequantised for the moment."""
    bias: torch.Tensor | None
    """(outputs,)."""
    update: Update | None
    """None where nothing is adapted."""


def project(
    x: torch.Tensor, projections: Sequence[Projection], *, drawing: Stream | None, lease: Lease | None = None
) -> tuple[torch.Tensor, ...]:
    """Apply projections to one input.

    Args:
        x: (tokens, inputs).
        projections: all of that many inputs, and of one dropout.
        drawing: where it is drawn which inputs of the updates are dropped; None drops none, as in evaluation.
        lease: where the outputs go if they are kept for the backward pass by whoever takes them.

    Returns:
        One (tokens, outputs) per projection.
    """
    updates = [p.update for p in projections if p.update is not None]
    p = updates[0].dropout if updates else 0.0
    parameters = [parameter for update in updates for parameter in (update.a, update.b)]
    dropped = dropped_places(x.numel(), p, drawing.generator(x.device)) if drawing and p else None
    # On A, the smallest matrix: then B, its gradient and everything between need no factor of their own.
    factors = [update.scaling / (1 - p if dropped is not None else 1) for update in updates]
    outputs: tuple[torch.Tensor, ...] = _Project.apply(x, tuple(projections), dropped, factors, lease, *parameters)
    return outputs


def dropped_places(size: int, p: float, generator: torch.Generator) -> torch.Tensor:
    """Flat indices such that each of `size` places is among them with chance p, independently of the others.

    Throw a Poisson number of darts, of mean −size·ln(1−p): the darts per place are independent Poisson numbers of mean
    −ln(1−p), so a place is missed with chance 1−p. It costs as many random numbers as places are dropped.
    """
    mean = torch.tensor(-size * math.log1p(-p), dtype=torch.float64, device=generator.device)
    darts = int(torch.poisson(mean, generator=generator))
    return torch.randint(size, (darts,), device=generator.device, generator=generator)


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        projections: tuple[Projection, ...],
        dropped: torch.Tensor | None,
        factors: list[float],
        lease: Lease | None,
        *parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        a = [(p * factor).to(x.dtype) for p, factor in zip(parameters[::2], factors, strict=True)]
        b = [p.to(x.dtype) for p in parameters[1::2]]
        joined = torch.cat(a) if a else None
        inner = None if joined is None else linear(_without(x, dropped), joined)
        outputs = []
        parts = iter(zip(_parts(inner, a), b, strict=True))
        for projection in projections:
            weight = projection.weight()
            output = torch.mm(x, weight.T, out=kept(lease, (len(x), len(weight)), x))
            if projection.bias is not None:
                output += projection.bias
            if projection.update is not None:
                part, up = next(parts)
                output.addmm_(part, up.T)
            outputs.append(output)
        ctx.save_for_backward(x if a else None, joined, inner, dropped, *b)
        ctx.projections, ctx.factors, ctx.ranks = projections, factors, [len(p) for p in a]
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, joined, inner, dropped, *b = ctx.saved_tensors
        wants_dx = ctx.needs_input_grad[0]
        dx = _frozen_part(ctx.projections, grads) if wants_dx else None
        if joined is None:
            return dx, None, None, None, None
        adapted = [grad for p, grad in zip(ctx.projections, grads, strict=True) if p.update is not None]
        dinner = torch.cat([grad @ up for grad, up in zip(adapted, b, strict=True)], dim=1)
        da = (dinner.T @ _without(x, dropped)).to(torch.float32).split(ctx.ranks)
        da = [part.mul_(factor) for part, factor in zip(da, ctx.factors, strict=True)]
        inners = inner.split(ctx.ranks, dim=1)
        db = [(grad.T @ part).to(torch.float32) for grad, part in zip(adapted, inners, strict=True)]
        if dx is not None:
            _add_update_part(dx, dinner, joined, dropped)
        parameters = (gradient for pair in zip(da, db, strict=True) for gradient in pair)
        return dx, None, None, None, None, *parameters


def _parts(inner: torch.Tensor | None, a: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    return () if inner is None else inner.split([len(one) for one in a], dim=1)


def _without(x: torch.Tensor, dropped: torch.Tensor | None) -> torch.Tensor:
    """x, 0 at the dropped places."""
    return x if dropped is None else _erase(x.clone(memory_format=torch.contiguous_format), dropped)


def _erase(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    x.view(-1).index_fill_(0, places, 0)
    return x


def _frozen_part(projections: Sequence[Projection], grads: Sequence[torch.Tensor]) -> torch.Tensor:
    """Σ dyᵢ·Wᵢ."""
    first, *others = zip(projections, grads, strict=True)
    dx = first[1] @ first[0].weight()
    for projection, grad in others:
        dx.addmm_(grad, projection.weight())
    return dx


def _add_update_part(
    dx: torch.Tensor, dinner: torch.Tensor, joined: torch.Tensor, dropped: torch.Tensor | None
) -> None:
    if dropped is None:
        dx.addmm_(dinner, joined)
    else:
        dx.add_(_erase(dinner @ joined, dropped))
