"""Cuts a step's rows into forward passes that fit a token budget, rows with a common beginning together.

A pure function of the rows and the limits: which rows meet in a pass changes how a step is computed, never what.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree

LIMITS_TRIED = 16
"""Limits between equal packs and full ones."""


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
    even_rows = max_rows and math.ceil(len(rows) / wanted)
    limits = np.linspace(math.ceil(tree.tokens / wanted), max_tokens, LIMITS_TRIED).astype(int)
    tried = (list(_fill(tree, max_tokens=int(limit), max_rows=even_rows)) for limit in limits)
    # The lowest limit that needs no further pack makes them most alike; the last one is the most that is allowed.
    packs = next((packs for packs in tried if len(packs) == wanted), None)
    if packs is None:
        packs = list(_fill(tree, max_tokens=max_tokens, max_rows=even_rows))
    return [[rows[number] for number in numbers] for numbers in packs]


def _fill(tree: PrefixTree, *, max_tokens: int, max_rows: int | None) -> Iterator[list[int]]:
    """Take rows in the tree's order until a pack is full; segments that a pack has already cost nothing more."""
    numbers: list[int] = []
    held: set[int] = set()
    tokens = 0
    for number in sorted(range(len(tree.row_ends)), key=lambda i: tree.row_ends[i]):
        path = tree.path(number)
        more = sum(len(tree.segments[s].ids) for s in path if s not in held)
        if numbers and (tokens + more > max_tokens or len(numbers) == max_rows):
            yield numbers
            numbers, held, tokens = [], set(), 0
            more = sum(len(tree.segments[s].ids) for s in path)
        numbers.append(number)
        held.update(path)
        tokens += more
    yield numbers
