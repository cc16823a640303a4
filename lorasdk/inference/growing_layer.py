"""Keys and values of one layer, with room for the tokens to come.

transformers' own layer is copied whole for every token. This one is copied when its room is full.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import CacheLayerMixin

GROWTH = 1.5
"""Columns of the room by those in it, when it is made."""


class GrowingLayer(CacheLayerMixin):  # type: ignore[misc] # transformers has no types
    """(rows, heads, columns, size) keys and values; they remember everything.

    transformers tells layers of this kind from others by their class, so that its interface has to be inherited.
    """

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Hold no columns yet."""
        self.put(key_states[:, :, :0], value_states[:, :, :0])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: object, **_kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in new columns; all of them."""
        seen = self.get_seq_length()
        end = seen + key_states.shape[2]
        if self._room is None or end > self._room[0].shape[2]:
            self._room = self._larger(self.keys, key_states, end), self._larger(self.values, value_states, end)
        keys, values = self._room
        keys[:, :, seen:end] = key_states
        values[:, :, seen:end] = value_states
        self.keys, self.values, self.is_initialized = keys[:, :, :end], values[:, :, :end], True
        return self.keys, self.values

    def put(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Hold these instead."""
        self.keys, self.values, self.is_initialized, self._room = keys, values, True, None

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Hold these rows only."""
        assert self.keys is not None
        assert self.values is not None
        self.put(self.keys.index_select(0, beam_idx), self.values.index_select(0, beam_idx))

    def get_seq_length(self) -> int:
        """Columns."""
        return 0 if self.keys is None else self.keys.shape[2]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that a mask has with so many new tokens, and the first of them."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    def _larger(self, old: torch.Tensor | None, new: torch.Tensor, columns: int) -> torch.Tensor:
        room = new.new_empty(*new.shape[:2], int(columns * GROWTH), new.shape[3])
        if old is not None:
            room[:, :, : old.shape[2]] = old
        return room
