"""Cuts a step's rows into forward passes that fit a token budget, rows with a common beginning together.

A pure function of the rows and the limits: which rows meet in a pass changes how a step is computed, never what.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import WORTH_SHARING, PrefixTree


def pack(rows: Sequence[TokenRow], *, max_tokens: int, max_rows: int | None = None) -> list[list[TokenRow]]:
    """Split rows into packs of about equal cost.

    Args:
        rows: at least one.
        max_tokens: tokens that a pack may compute, shared ones counted once; a longer row has a pack to itself.
        max_rows: rows that a pack may hold, as many as fit when None.
    """
    tree = PrefixTree.of(rows)
    wanted = max(math.ceil(tree.tokens / max_tokens), math.ceil(len(rows) / (max_rows or len(rows))))
    if wanted == 1:
        return [list(rows)]
    even_tokens = min(max_tokens, math.ceil(tree.tokens / wanted))
    even_rows = math.ceil(len(rows) / wanted)
    packs = _fill(tree, limit=even_tokens + WORTH_SHARING, max_tokens=max_tokens, max_rows=max_rows and even_rows)
    return [[rows[number] for number in numbers] for numbers in packs]


def _fill(tree: PrefixTree, *, limit: int, max_tokens: int, max_rows: int | None) -> Iterator[list[int]]:
    """Take rows in the tree's order until a pack is full; segments that a pack has already cost nothing more."""
    numbers: list[int] = []
    held: set[int] = set()
    tokens = 0
    for number in sorted(range(len(tree.row_ends)), key=lambda i: tree.row_ends[i]):
        path = tree.path(number)
        more = sum(len(tree.segments[s].ids) for s in path if s not in held)
        if numbers and (tokens + more > min(limit, max_tokens) or len(numbers) == max_rows):
            yield numbers
            numbers, held, tokens = [], set(), 0
            more = sum(len(tree.segments[s].ids) for s in path)
        numbers.append(number)
        held.update(path)
        tokens += more
    yield numbers
