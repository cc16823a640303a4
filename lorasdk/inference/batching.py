"""Which prompts of a call are answered together, and what is read once for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorasdk.asking import Voice
from lorasdk.inference.beginnings import Family, find_families
from lorasdk.inference.decoding import Batch, Request
from lorasdk.inference.key_values import Beginning, can_share, read_beginning
from lorasdk.inference.reading import Reader


class Batching:
    """The batches of a call, prompts that begin alike and prompts of like length next to each other."""

    def __init__(self, reader: Reader, requests: Sequence[Request], batch_size: int) -> None:
        self.reader, self.requests, self.batch_size = reader, requests, batch_size
        families = self._families()
        self._order = [row for family in families for row in family.members]
        self._family = {row: family for family in families for row in family.members}
        self._read: dict[Family, Beginning] = {}

    def rows(self) -> Iterator[list[int]]:
        """The rows of each batch."""
        for start in range(0, len(self._order), self.batch_size):
            yield side_by_side(self._order[start : start + self.batch_size], self.requests)

    def batch(self, rows: Sequence[int]) -> Batch:
        """Lay out one batch; the model reads the beginnings that it needs and that are not read yet."""
        families = dict.fromkeys(self._family[row] for row in rows if self._family[row].shared)
        # A family's rows are neighbours, so that what this batch does not need will not be needed again.
        self._read = {family: self._read.get(family) or self._beginning(family) for family in families}
        beginnings = [self._read.get(self._family[row]) for row in rows]
        return Batch(self.reader, [self.requests[row] for row in rows], beginnings=beginnings)

    def _families(self) -> list[Family]:
        voices: dict[Voice, list[int]] = {}
        for row, request in enumerate(self.requests):
            voices.setdefault(request.voice, []).append(row)
        return [family for rows in voices.values() for family in self._families_of(rows)]

    def _families_of(self, rows: Sequence[int]) -> list[Family]:
        """The families of one voice: what another adapter remembers of a beginning is another thing."""
        prompts = [self.requests[row].ids for row in rows]
        width = max(len(request.ids) for request in self.requests) + max(request.limit for request in self.requests)
        if can_share(self.reader, width):
            return [Family(f.shared, tuple(rows[i] for i in f.members)) for f in find_families(prompts)]
        return [Family(0, tuple(sorted(rows, key=lambda row: len(self.requests[row].ids))))]

    def _beginning(self, family: Family) -> Beginning:
        request = self.requests[family.members[0]]
        return read_beginning(self.reader, request.ids[: family.shared], request.voice)


def side_by_side(rows: Sequence[int], requests: Sequence[Request]) -> list[int]:
    """The rows with those of one voice next to each other."""
    voices = list(dict.fromkeys(requests[row].voice for row in rows))
    return sorted(rows, key=lambda row: voices.index(requests[row].voice))
