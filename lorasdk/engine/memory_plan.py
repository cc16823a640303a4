"""Fits a training into the memory that a recipe allows it: first with smaller packs, then by computing layers twice.

What a pass keeps for its backward pass is counted on a row as long as the longest, which keeps the most for each token.
So the plan follows from model, rows and recipe alone: the same on every start, whatever else runs on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.errors import Problem, ResourceError
from lorasdk.forward.passes import Passes

MOST_COUNTED = 1024
"""Tokens of the row that is counted: attention keeps no weights of wider ones, so these keep no more for each token."""
OPTIMIZER_BYTES = 12
"""Per trained parameter: its gradient and two moments, in float32."""


@dataclass(frozen=True, slots=True)
class Need:
    """Memory of a training."""

    resident: int
    """Bytes of weights, gradients and moments."""
    per_token: float
    """Bytes that a pass keeps for each token."""

    def bytes_for(self, tokens: int) -> int:
        """All of it, with passes of that many tokens."""
        return int(self.resident + self.per_token * tokens)

    def tokens_within(self, limit: int) -> int:
        """The longest pass that fits, in tokens; less than 1 if none does."""
        return int((limit - self.resident) // self.per_token)


def need_of(passes: Passes, model: torch.nn.Module, *, longest: int) -> Need:
    """Count what passes of this model keep.

    Args:
        passes: of the model in training mode.
        model: with its adapter.
        longest: tokens of the longest row.
    """
    counted = min(longest, MOST_COUNTED)
    per_token = _kept_bytes(passes, counted) / counted
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    tensors = [*model.parameters(), *model.buffers()]
    resident = sum(t.numel() * t.element_size() for t in tensors) + OPTIMIZER_BYTES * trained
    return Need(resident, per_token)


def recomputing(need: Need, *, layers: int, bytes_per_state: int) -> Need:
    """The same with layers that keep their input alone, and the rest of one layer at a time.

    Args:
        need: without.
        layers: of the model.
        bytes_per_state: of one token's hidden state.
    """
    return Need(need.resident, layers * bytes_per_state + need.per_token / layers)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How passes are computed within a limit."""

    max_tokens: int
    """Tokens of a pass."""
    recompute: bool
    """Whether layers drop what they keep and compute it again in the backward pass."""


def plan_memory(need: Need, twice: Need, *, limit: int, longest: int, max_tokens: int) -> MemoryPlan:
    """The fastest way that fits.

    Args:
        need: of passes that keep everything.
        twice: of passes that compute layers twice.
        limit: bytes that may be used.
        longest: tokens of the longest row, which must fit into a pass.
        max_tokens: tokens of a pass where memory does not matter.

    Raises:
        ResourceError: not even the longest row alone fits.
    """
    for recompute, way in enumerate((need, twice)):
        tokens = way.tokens_within(limit)
        if tokens >= min(longest, max_tokens):
            return MemoryPlan(min(tokens, max_tokens), bool(recompute))
    raise ResourceError(_does_not_fit(twice.bytes_for(longest), limit, longest))


def _kept_bytes(passes: Passes, length: int) -> int:
    """Bytes that the pass of one row keeps for its backward pass, but for parameters."""
    kept: dict[tuple[int, int], int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.data_ptr(), tensor.numel()] = tensor.numel() * tensor.element_size()
        return tensor

    row = TokenRow(1, tuple(1 + i % 7 for i in range(length)), ((1, length),))
    with torch.enable_grad(), passes.ready(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        passes.loss([row])
    return sum(kept.values())


def _does_not_fit(needed: int, limit: int, longest: int) -> Problem:
    return Problem(
        code="training.memory-too-small",
        message=f"the longest row alone, of {longest} tokens, needs about {needed / 1e9:.2f} GB, weights included",
        field="training.memory_gb",
        found=f"{limit / 1e9:g}",
        allowed=f"{needed / 1e9:.2f} or more",
        fix="raise training.memory_gb, lower data.max_tokens, or set base_model.quantization: nf4",
    )
