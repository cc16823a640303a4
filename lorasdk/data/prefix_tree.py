"""Rows as a prefix tree: what several rows begin with is there once, and each row is a path from a root to its end.

The tree says what a forward pass computes, not how: a token attends to the tokens before it in its own segment and to
all of the segments above, never to a sibling. Loss, gradients and positions are those of the separate rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from lorasdk.data.encoding import TokenRow

WORTH_SHARING = 32
"""Tokens that a shared segment must save before it is cut out, since a further segment has a cost of its own."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens that the same rows have in common."""

    ids: tuple[int, ...]
    """Its tokens, at least one."""
    parent: int | None
    """Number of the segment it continues, smaller than its own; None at the beginning of rows."""
    position: int
    """Position of its first token in every row that goes through it."""
    start: int
    """Index of its first token in the tree's flat order."""


@dataclass(frozen=True, slots=True)
class Target:
    """A supervised token."""

    index: int
    """Flat index of the token before it, whose hidden state predicts it."""
    label: int
    """Its token id."""
    weight: int
    """How many rows supervise it at this place."""


@dataclass(frozen=True)
class PrefixTree:
    """Rows of one forward pass."""

    segments: tuple[Segment, ...]
    """Each after its parent, and all that continues a segment right behind it (depth first)."""
    row_ends: tuple[int, ...]
    """Per row, in the order they were given: the segment it ends in."""
    targets: tuple[Target, ...]
    """Supervised tokens, in flat order."""
    row_targets: tuple[tuple[int, ...], ...]
    """Per row: the numbers of its targets, one per supervised token, in the row's order."""

    @classmethod
    def of(cls, rows: Sequence[TokenRow], *, worth: int = WORTH_SHARING) -> PrefixTree:
        """Cut rows into segments wherever sharing saves at least `worth` tokens."""
        segments, row_ends = _grow(rows, worth)
        targets, row_targets = _targets(rows, [_flat_indices(segments, end) for end in row_ends])
        return cls(tuple(segments), tuple(row_ends), targets, row_targets)

    @property
    def tokens(self) -> int:
        """Tokens that are computed."""
        last = self.segments[-1]
        return last.start + len(last.ids)

    def path(self, row: int) -> list[int]:
        """Numbers of the segments that a row goes through."""
        return _path(self.segments, self.row_ends[row])

    def flat_indices(self, row: int) -> list[int]:
        """Where the tokens of a row lie in the flat order."""
        return _flat_indices(self.segments, self.row_ends[row])


def _path(segments: Sequence[Segment], end: int) -> list[int]:
    steps = [end]
    while (parent := segments[steps[-1]].parent) is not None:
        steps.append(parent)
    return steps[::-1]


def _flat_indices(segments: Sequence[Segment], end: int) -> list[int]:
    """Where the tokens of a row that ends in segment `end` lie in the flat order."""
    return [i for s in _path(segments, end) for i in range(segments[s].start, segments[s].start + len(segments[s].ids))]


def in_shared_order(rows: Sequence[TokenRow]) -> list[int]:
    """Numbers of the rows such that rows with a common beginning are neighbours."""
    return sorted(range(len(rows)), key=lambda i: rows[i].ids)


def common_length(one: Sequence[int], other: Sequence[int], start: int = 0) -> int:
    """How many first tokens two rows have in common, when `start` of them are known to be."""
    low, high = start, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbours in shared order that are alike up to `common`, of which `cut` is in segments already."""

    numbers: list[int]
    cut: int
    parent: int | None


def _grow(rows: Sequence[TokenRow], worth: int) -> tuple[list[Segment], list[int]]:
    segments: list[Segment] = []
    row_ends = [0] * len(rows)
    # A stack, not recursion: the depth is up to the data.
    waiting = [_Group(in_shared_order(rows), 0, None)]
    while waiting:
        group = waiting.pop()
        first, last = rows[group.numbers[0]].ids, rows[group.numbers[-1]].ids
        common = common_length(first, last, group.cut)
        ending = [number for number in group.numbers if len(rows[number].ids) == common]
        saved = (len(group.numbers) - 1) * (common - group.cut)
        parent, cut = group.parent, group.cut
        if common > cut and (len(group.numbers) == 1 or saved >= worth):
            start = segments[-1].start + len(segments[-1].ids) if segments else 0
            segments.append(Segment(first[cut:common], parent, cut, start))
            parent, cut = len(segments) - 1, common
            for number in ending:
                row_ends[number] = parent
            ending = []
        waiting.extend(_Group([number], cut, parent) for number in ending)
        waiting.extend(_branches(rows, group.numbers, common, cut=cut, parent=parent))
    return segments, row_ends


def _branches(
    rows: Sequence[TokenRow], numbers: Sequence[int], common: int, *, cut: int, parent: int | None
) -> list[_Group]:
    """The rows that go on after `common`, by their next token; the shortest on top of the stack."""
    going_on = [number for number in numbers if len(rows[number].ids) > common]
    by_token: dict[int, list[int]] = {}
    for number in going_on:
        by_token.setdefault(rows[number].ids[common], []).append(number)
    groups = [_Group(members, cut, parent) for members in by_token.values()]
    return sorted(groups, key=lambda group: -max(len(rows[number].ids) for number in group.numbers))


def _targets(
    rows: Sequence[TokenRow], where: Sequence[Sequence[int]]
) -> tuple[tuple[Target, ...], tuple[tuple[int, ...], ...]]:
    """The supervised tokens of all rows, and which of them are each row's."""
    wanted = [
        [(flat[i - 1], row.ids[i]) for start, end in row.spans for i in range(start, end)]
        for row, flat in zip(rows, where, strict=True)
    ]
    counts = sorted(Counter(chain.from_iterable(wanted)).items())
    numbers = {key: number for number, (key, _) in enumerate(counts)}
    targets = tuple(Target(index, label, weight) for (index, label), weight in counts)
    return targets, tuple(tuple(numbers[key] for key in keys) for keys in wanted)
