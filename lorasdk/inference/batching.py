"""Which prompts of a call are answered together, and what is read once for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorasdk.inference.beginnings import Family, find_families
from lorasdk.inference.decoding import Batch, Request
from lorasdk.inference.key_values import Beginning, can_share, read_beginning
from lorasdk.inference.reading import Reader
from lorasdk.recipe.schema import GenerationSection


class Batching:
    """The batches of a call, prompts that begin alike and prompts of like length next to each other."""

    def __init__(self, reader: Reader, requests: Sequence[Request], settings: GenerationSection) -> None:
        self.reader, self.requests, self.settings = reader, requests, settings
        families = self._families()
        self._order = [row for family in families for row in family.members]
        self._family = {row: family for family in families for row in family.members}
        self._read: dict[Family, Beginning] = {}

    def rows(self) -> Iterator[list[int]]:
        """The rows of each batch."""
        for start in range(0, len(self._order), self.settings.batch_size):
            yield self._order[start : start + self.settings.batch_size]

    def batch(self, rows: Sequence[int]) -> Batch:
        """Lay out one batch; the model reads the beginnings that it needs and that are not read yet."""
        families = dict.fromkeys(self._family[row] for row in rows if self._family[row].shared)
        # A family's rows are neighbours, so that what this batch does not need will not be needed again.
        self._read = {family: self._read.get(family) or self._beginning(family) for family in families}
        beginnings = [self._read.get(self._family[row]) for row in rows]
        return Batch(self.reader, [self.requests[row] for row in rows], self.settings, beginnings=beginnings)

    def _families(self) -> list[Family]:
        prompts = [request.ids for request in self.requests]
        width = max(len(request.ids) for request in self.requests) + max(request.limit for request in self.requests)
        if can_share(self.reader, width):
            return find_families(prompts)
        return [Family(0, tuple(sorted(range(len(prompts)), key=lambda i: len(prompts[i]))))]

    def _beginning(self, family: Family) -> Beginning:
        ids = self.requests[family.members[0]].ids
        return read_beginning(self.reader, ids[: family.shared])
