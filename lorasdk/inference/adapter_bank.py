"""Matrices of several adapters side by side, so that one product computes what each of them adds to its own rows.

With A = [A₁; …; Aₙ] and B likewise, x·Aᵀ holds what every adapter makes of every row; a mask of zeros and ones leaves
each row its own adapter's part, and (mask ∘ x·Aᵀ)·B is what is added. That is more arithmetic than needed, and two
products instead of two for each adapter, which is what counts while a row is one token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from lorasdk.inference.resident_adapter import ResidentAdapter


class AdapterBank:
    """Places for adapters; each takes as many rows of every matrix as the largest rank needs."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.places: list[ResidentAdapter | None] = []
        self.width = 0
        self.a: dict[str, torch.Tensor] = {}
        """By layer, (places·width, in)."""
        self.b: dict[str, torch.Tensor] = {}
        """By layer, (places·width, out), the scaling in it."""

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
        return adapter.rank > self.width or not adapter.layers.keys() <= self.a.keys()

    def _rebuild(self, adapters: Iterable[ResidentAdapter]) -> None:
        """Anew, with room for as many again, so that a new neighbour is copied alone."""
        seated = list(adapters)
        self.places = [None] * _roomy(len(seated))
        self.width = max(adapter.rank for adapter in seated)
        layers = {path: layer for adapter in seated for path, layer in adapter.layers.items()}
        rows = len(self.places) * self.width
        self.a = {path: self._zeros(rows, layer.a.shape[1]) for path, layer in layers.items()}
        self.b = {path: self._zeros(rows, layer.sb.shape[0]) for path, layer in layers.items()}
        for place, adapter in enumerate(seated):
            self._fill(place, adapter)

    def _zeros(self, rows: int, columns: int) -> torch.Tensor:
        return torch.zeros(rows, columns, dtype=self.dtype, device=self.device)

    def _fill(self, place: int, adapter: ResidentAdapter) -> None:
        start, end = place * self.width, (place + 1) * self.width
        for path in self.a:
            self.a[path][start:end].zero_()
            self.b[path][start:end].zero_()
        for path, layer in adapter.layers.items():
            rank = layer.a.shape[0]
            self.a[path][start : start + rank].copy_(layer.a)
            self.b[path][start : start + rank].copy_(layer.sb.T)
        self.places[place] = adapter


def _roomy(count: int) -> int:
    """The next power of two."""
    return 1 << (count - 1).bit_length()
