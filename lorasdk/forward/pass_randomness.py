"""Random numbers of a pass: functions of its key and of which module asks, so that there is no state to keep.

A pass that is computed again, by gradient checkpointing or after a restart, drops the same places. torch's global
generators are left to the host, but for models whose own code draws from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from lorasdk.basemodel.scoped_random import scoped_random

_MASK = 2**64 - 1


def mixed(*numbers: int) -> int:
    """One seed from several numbers, 0 to 2⁶³ − 1, well apart for neighbours (SplitMix64's finaliser, each in turn)."""
    value = 0
    for number in numbers:
        value = (value + number + 0x9E3779B97F4A7C15) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        value ^= value >> 31
    return value >> 1


class PassRandomness:
    """The key of the pass that is being computed; modules draw from streams of their own."""

    def __init__(self) -> None:
        self.key = 0
        self.borrows_global = False
        """Whether the model's own code draws from torch's global generators, so that these must be lent to it."""
        self._streams = 0

    def stream(self) -> Stream:
        """One more stream; the n-th of a model is the same in every process."""
        self._streams += 1
        return Stream(self, self._streams)

    @contextmanager
    def keyed(self, key: int, device: torch.device) -> Iterator[None]:
        """While open, all streams follow `key`."""
        with scoped_random(device, seed=key) if self.borrows_global else nullcontext():
            self.key = key
            yield


@dataclass(frozen=True, slots=True)
class Stream:
    """Where one module draws from."""

    randomness: PassRandomness
    number: int

    def generator(self, device: torch.device) -> torch.Generator:
        """A generator at the start of this pass's numbers."""
        return torch.Generator(device).manual_seed(mixed(self.randomness.key, self.number))


def dropped_out(x: torch.Tensor, p: float, stream: Stream) -> torch.Tensor:
    """x∘m/(1−p), each place of m being 0 with chance p: what `torch.nn.Dropout` computes."""
    kept = torch.empty_like(x).bernoulli_(1 - p, generator=stream.generator(x.device))
    return x * kept.div_(1 - p)
