"""Produces tokens for a batch of prompts, one step at a time, and holds nothing that outlives the caller's interest.

A plain loop instead of `generate`: it needs no thread to stream, draws from its own generators instead of the host's
global random state, and lets rows leave as soon as they are done, and others join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache

from lorasdk.asking import Voice
from lorasdk.inference.choosing import Chooser
from lorasdk.inference.key_values import Beginning, can_be_joined, cut, joined, laid_out
from lorasdk.inference.reading import Reader
from lorasdk.recipe.schema import GenerationSection

SPARE = 4
"""Padding is let go of when it is more than one column in so many, since that copies what is kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt of a batch."""

    ids: tuple[int, ...]
    """Prompt tokens, at least one."""
    seed: int
    """Of this prompt's sampling, so that its answer does not depend on its neighbours."""
    limit: int
    """Most tokens to produce."""
    settings: GenerationSection
    """Temperature, top-p, top-k and repetition penalty."""
    voice: Voice = True
    """Who answers."""


class Batch:
    """Prompts that are answered together, padded on the left to one length."""

    def __init__(
        self, reader: Reader, requests: Sequence[Request], *, beginnings: Sequence[Beginning | None] | None = None
    ) -> None:
        """Lay out the rows; nothing is computed yet.

        Args:
            reader: of a model in evaluation mode.
            requests: at least one; those of one voice side by side take the least time.
            beginnings: of each request, what was already read of it; None for nothing. At least the last token of each
                request is left to read.
        """
        device = reader.model.device
        self.reader = reader
        self.voices = [request.voice for request in requests]
        self.ids, self.mask = _rows(requests, device)
        self.positions = _positions(self.mask)
        self.filled = max(len(request.ids) for request in requests)
        # What the shorter rows would have as padding, they read again: so all rows are padded on the left only.
        beginnings = beginnings or [None] * len(requests)
        known = [0 if one is None else one.tokens for one in beginnings]
        own = max(len(request.ids) - count for request, count in zip(requests, known, strict=True))
        self.seen = self.filled - own
        self.cache: object | None = laid_out(reader, beginnings, [max(0, len(r.ids) - own) for r in requests])
        self.chooser = Chooser([r.settings for r in requests], [r.seed for r in requests], device)
        self.rows = list(range(len(requests)))
        self.logits = torch.empty(0)
        """(rows, vocabulary) float32 of the last step, in the order of its tokens."""

    @torch.inference_mode()
    def step(self) -> list[int]:
        """The next token of each row."""
        logits, self.cache = self.reader.read(
            self.ids[:, self.seen : self.filled],
            mask=self.mask[:, : self.filled],
            positions=self.positions[:, self.seen : self.filled],
            cache=self.cache,
            voices=self.voices,
        )
        tokens = self.chooser.choose(self.ids[:, : self.filled], logits)
        self.ids[:, self.filled] = tokens
        self.seen, self.filled = self.filled, self.filled + 1
        values: list[int] = tokens.tolist()
        whole = len(self.rows) == len(values)
        self.logits = logits if whole else logits[self.rows]
        return values if whole else [values[row] for row in self.rows]

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
            self.voices = [self.voices[row] for row in self.rows]
            self.rows = list(range(len(self.rows)))
            self._drop_padding()

    def can_join(self, other: Batch) -> bool:
        """Whether the rows of both may go on in one batch."""
        return can_be_joined(self.cache) and can_be_joined(other.cache)

    @torch.inference_mode()
    def join(self, other: Batch) -> None:
        """Take in the rows of another batch that `can_join`; both have taken a step."""
        filled = max(self.filled, other.filled)
        left, right = filled - self.filled, filled - other.filled
        width = max(left + self.ids.shape[1], right + other.ids.shape[1])
        ids, mask = zip(_wider(self, left, width), _wider(other, right, width), strict=True)
        self.ids, self.mask = torch.cat(ids), torch.cat(mask)
        self.positions = _positions(self.mask)
        self.cache = joined(self.cache, other.cache, filled - 1)
        self.seen, self.filled = filled - 1, filled
        self.chooser.join(other.chooser)
        self.voices += other.voices
        self.rows = list(range(len(self.voices)))

    def _drop_padding(self) -> None:
        """Let go of columns that no row has any more, once they are many."""
        columns = int(self.mask.argmax(1).min())
        if columns * SPARE < self.seen or not can_be_joined(self.cache):
            return
        self.ids, self.mask, self.positions = (t[:, columns:] for t in (self.ids, self.mask, self.positions))
        self.cache = cut(self.cache, columns)
        self.seen, self.filled = self.seen - columns, self.filled - columns


def _rows(requests: Sequence[Request], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, longest prompt + longest answer) tokens, and a mask that is 0 on padding."""
    width = max(len(request.ids) for request in requests)
    room = max(request.limit for request in requests)
    # Padding repeats a token of the row itself, so that a repetition penalty sees no foreign token.
    ids = [(r.ids[0],) * (width - len(r.ids)) + r.ids + (r.ids[0],) * room for r in requests]
    mask = [[0] * (width - len(r.ids)) + [1] * (len(r.ids) + room) for r in requests]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def _wider(batch: Batch, left: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and mask of a batch, moved to the right by `left` columns, `width` in all."""
    rows, right = len(batch.ids), width - left - batch.ids.shape[1]
    own = batch.ids[:, batch.filled - 1 : batch.filled]
    ids = torch.cat([own.expand(rows, left), batch.ids, own.expand(rows, right)], dim=1)
    mask = torch.cat([batch.mask.new_zeros(rows, left), batch.mask, batch.mask.new_ones(rows, right)], dim=1)
    return ids, mask
