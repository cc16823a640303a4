"""Produces tokens for a batch of prompts, one step at a time, and holds nothing that outlives the caller's interest.

A plain loop instead of `generate`: it needs no thread to stream, draws from its own generators instead of the host's
global random state, and lets rows leave as soon as they are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache

from lorasdk.inference.choosing import Chooser
from lorasdk.inference.key_values import Beginning, laid_out
from lorasdk.inference.reading import Reader
from lorasdk.recipe.schema import GenerationSection


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt of a batch."""

    ids: tuple[int, ...]
    """Prompt tokens, at least one."""
    seed: int
    """Of this prompt's sampling, so that its answer does not depend on its neighbours."""
    limit: int
    """Most tokens to produce."""


class Batch:
    """Prompts that are answered together, padded on the left to one length."""

    def __init__(
        self,
        reader: Reader,
        requests: Sequence[Request],
        settings: GenerationSection,
        *,
        beginnings: Sequence[Beginning | None],
    ) -> None:
        """Lay out the rows; nothing is computed yet.

        Args:
            reader: of a model in evaluation mode.
            requests: at least one.
            settings: temperature, top-p, top-k and repetition penalty.
            beginnings: of each request, what was already read of it; None for nothing. At least the last token of each
                request is left to read.
        """
        self.reader = reader
        self.ids, self.mask = _rows(requests, reader.model.device)
        self.positions = (self.mask.cumsum(1) - 1).clamp(min=0)
        self.filled = max(len(request.ids) for request in requests)
        # What the shorter rows would have as padding, they read again: so all rows are padded on the left only.
        known = [0 if one is None else one.tokens for one in beginnings]
        own = max(len(request.ids) - count for request, count in zip(requests, known, strict=True))
        self.seen = self.filled - own
        self.cache: object | None = laid_out(reader, beginnings, [max(0, len(r.ids) - own) for r in requests])
        self.chooser = Chooser(settings, [request.seed for request in requests], reader.model.device)
        self.rows = list(range(len(requests)))

    @torch.inference_mode()
    def step(self) -> list[int]:
        """The next token of each row."""
        logits, self.cache = self.reader.read(
            self.ids[:, self.seen : self.filled],
            mask=self.mask[:, : self.filled],
            positions=self.positions[:, self.seen : self.filled],
            cache=self.cache,
        )
        tokens = self.chooser.choose(self.ids[:, : self.filled], logits)
        self.ids[:, self.filled] = tokens
        self.seen, self.filled = self.filled, self.filled + 1
        values: list[int] = tokens.tolist()
        return [values[row] for row in self.rows]

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, numbered as in the last step."""
        self.rows = [self.rows[row] for row in rows]
        # A model that remembers in a way of its own computes rows that are done to the end.
        if isinstance(self.cache, Cache):
            chosen = torch.tensor(self.rows, device=self.ids.device)
            self.ids, self.mask, self.positions = self.ids[chosen], self.mask[chosen], self.positions[chosen]
            self.cache.reorder_cache(chosen)
            self.chooser.keep(self.rows)
            self.rows = list(range(len(self.rows)))


def _rows(requests: Sequence[Request], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, longest prompt + longest answer) tokens, and a mask that is 0 on padding."""
    width = max(len(request.ids) for request in requests)
    room = max(request.limit for request in requests)
    # Padding repeats a token of the row itself, so that a repetition penalty sees no foreign token.
    ids = [(r.ids[0],) * (width - len(r.ids)) + r.ids + (r.ids[0],) * room for r in requests]
    mask = [[0] * (width - len(r.ids)) + [1] * (len(r.ids) + room) for r in requests]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
