"""Matrices of several adapters side by side, so that one product computes what each of them adds to its own rows.

With A = [A₁; …; Aₙ] and B likewise, x·Aᵀ holds what every adapter makes of every row; a mask of zeros and ones leaves
each row its own adapter's part, and (mask ∘ x·Aᵀ)·B is what is added. That is more arithmetic than needed, and two
products instead of two for each adapter, which is what counts while a row is one token. For the same reason layers that
usually have one input have their A side by side too, and the first of them computes for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from lorasdk.basemodel.low_rank import LowRank
from lorasdk.inference.resident_adapter import ResidentAdapter

TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one module that usually have one input; where they have not, each computes its own."""


@dataclass(frozen=True, eq=False)
class Seat:
    """Where the matrices of one layer lie."""

    a: torch.Tensor
    """(layers·places·width, in): of this layer and those that have its input."""
    part: slice
    """Columns of x·Aᵀ that are this layer's."""
    b: torch.Tensor
    """(places·width, out), the scaling in it."""

    @property
    def own_a(self) -> torch.Tensor:
        """(places·width, in)."""
        return self.a[self.part]


class AdapterBank:
    """Places for adapters; each takes as many rows of every matrix as the largest rank needs."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.places: list[ResidentAdapter | None] = []
        self.width = 0
        self.layers: dict[str, Seat] = {}

    def seat(self, adapters: Sequence[ResidentAdapter]) -> bool:
        """Give every adapter a place; those that are not named may lose theirs.

        Returns:
            Whether the tensors are others than before.
        """
        wanted = dict.fromkeys(adapters)
        new = [adapter for adapter in wanted if adapter not in self.places]
        free = [place for place, adapter in enumerate(self.places) if adapter not in wanted]
        if len(new) > len(free) or any(self._outgrown_by(adapter) for adapter in new):
            self._rebuild(wanted)
            return True
        for adapter, place in zip(new, free, strict=False):
            self._fill(place, adapter)
        return False

    def mask(self, rows: Sequence[ResidentAdapter | None]) -> torch.Tensor:
        """(rows, places·width) of zeros and ones: what of x·Aᵀ is a row's own."""
        mask = torch.zeros(len(rows), len(self.places) * self.width, dtype=self.dtype)
        for row, adapter in enumerate(rows):
            if adapter is not None:
                place = self.places.index(adapter)
                mask[row, place * self.width : (place + 1) * self.width] = 1
        return mask.to(self.device)

    def _outgrown_by(self, adapter: ResidentAdapter) -> bool:
        return adapter.rank > self.width or not adapter.layers.keys() <= self.layers.keys()

    def _rebuild(self, adapters: Iterable[ResidentAdapter]) -> None:
        """Anew, with room for as many again, so that a new neighbour is copied alone."""
        seated = list(adapters)
        self.places = [None] * _roomy(len(seated))
        self.width = max(adapter.rank for adapter in seated)
        layers = {path: layer for adapter in seated for path, layer in adapter.layers.items()}
        rows = len(self.places) * self.width
        self.layers = {}
        for group in _with_one_input(layers):
            a = self._zeros(len(group) * rows, layers[group[0]].a.shape[1])
            for number, path in enumerate(group):
                part = slice(number * rows, (number + 1) * rows)
                self.layers[path] = Seat(a, part, self._zeros(rows, layers[path].sb.shape[0]))
        for place, adapter in enumerate(seated):
            self._fill(place, adapter)

    def _zeros(self, rows: int, columns: int) -> torch.Tensor:
        return torch.zeros(rows, columns, dtype=self.dtype, device=self.device)

    def _fill(self, place: int, adapter: ResidentAdapter) -> None:
        start, end = place * self.width, (place + 1) * self.width
        for seat in self.layers.values():
            seat.own_a[start:end].zero_()
            seat.b[start:end].zero_()
        for path, layer in adapter.layers.items():
            rank, seat = layer.a.shape[0], self.layers[path]
            seat.own_a[start : start + rank].copy_(layer.a)
            seat.b[start : start + rank].copy_(layer.sb.T)
        self.places[place] = adapter


def _with_one_input(layers: Mapping[str, LowRank]) -> Iterator[list[str]]:
    """Paths of layers, those together that usually have one input."""
    left = dict.fromkeys(layers)
    while left:
        path = next(iter(left))
        parent, _, name = path.rpartition(".")
        names = next((names for names in TOGETHER if name in names), (name,))
        group = [each for each in (f"{parent}.{one}" if parent else one for one in names) if each in left]
        for each in group:
            del left[each]
        yield group


def _roomy(count: int) -> int:
    """The next power of two."""
    return 1 << (count - 1).bit_length()
