"""One base model that several benches use in turn: lent, given back, and shown to be what it was when it was loaded.

What an adapter leaves behind in a base depends on its initialisation, its biases, PEFT's version. So nothing is
believed of any of them: a base whose weights, layers and settings are not all as before, to the bit, is let go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeAlias

import torch

from lorasdk.basemodel.loading import LoadedBase
from lorasdk.basemodel.unwrapping import remove_tuner_layers
from lorasdk.contracts import LocatedModel

Facts: TypeAlias = tuple[tuple[object, ...], ...]
WORD = 8
"""Bytes that are added up at a time."""


@dataclass
class BaseLoan:
    """At most one base model that nobody uses at the moment."""

    _held: LoadedBase | None = None
    _facts: Facts = field(default=(), repr=False)

    def lend(self, located: LocatedModel, load: Callable[[], LoadedBase]) -> LoadedBase:
        """The base model of these files: the one that was given back, with no time to load, or one that `load` gives.

        Raises:
            ModelError, ResourceError: as `load`.
        """
        held, self._held = self._held, None
        if held is not None and held.located == located:
            return replace(held, seconds=0.0)
        del held  # two would not fit
        base = load()
        self._facts = facts_of(base.model)
        return base

    def give_back(self, base: LoadedBase) -> None:
        """Take the adapter off, and hold the base for whoever is next if it is whole."""
        remove_tuner_layers(base.model)
        self._held = base if facts_of(base.model) == self._facts else None


@torch.no_grad()
def facts_of(model: torch.nn.Module) -> Facts:
    """What tells a model in memory from one that was changed: its layers, and the bits of its weights."""
    modules = ((name, type(m), m.training, _hooks(m)) for name, m in model.named_modules())
    tensors = chain(model.named_parameters(), model.named_buffers())
    weights = ((name, t.dtype, t.device, t.shape, t.requires_grad, *_bits(t)) for name, t in tensors)
    return (*modules, *weights)


def _bits(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]]:
    """The sum of a tensor's 64-bit words, modulo 2⁶⁴, and the bytes that are left: one bit changes them."""
    raw = tensor.detach().reshape(-1).view(torch.uint8)
    if raw.storage_offset() % WORD:  # slices of mapped files begin anywhere
        raw = raw.clone()
    whole = raw.numel() // WORD * WORD
    return int(raw[:whole].view(torch.int64).sum()), tuple(raw[whole:].tolist())


def _hooks(module: torch.nn.Module) -> int:
    return len(module._forward_hooks) + len(module._forward_pre_hooks)  # noqa: SLF001 - there is no public way
