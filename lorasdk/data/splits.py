"""Holds rows out of the training source: a pure function of how many there are, the shares and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from lorasdk.errors import DataError, Problem
from lorasdk.recipe.schema import Split


def hold_out(rows: int, shares: Mapping[str, Split], *, seed: int) -> dict[str, tuple[int, ...]]:
    """Choose indices for each held-out split and leave the rest to ``train``.

    Args:
        rows: how many rows there are.
        shares: split name to its share; chosen in the given order, without overlap.
        seed: of the choice; indices keep the rows' order within each split.

    Returns:
        Indices by split name, ``train`` included.

    Raises:
        DataError: a share comes to no row, or nothing would be left to train on.
    """
    order = list(range(rows))
    Random(seed).shuffle(order)  # noqa: S311 - a fair shuffle is wanted, not an unpredictable one
    chosen: dict[str, tuple[int, ...]] = {}
    start = 0
    for name, share in shares.items():
        count = share.rows if share.rows is not None else round(rows * (share.fraction or 0))
        if not 0 < count < rows - start:
            raise DataError(_impossible(name, share, count, rows, rows - start))
        chosen[name] = tuple(sorted(order[start : start + count]))
        start += count
    return {"train": tuple(sorted(order[start:])), **chosen}


def _impossible(name: str, share: Split, count: int, rows: int, left: int) -> Problem:
    written = f"rows: {share.rows}" if share.rows is not None else f"fraction: {share.fraction}"
    return Problem(
        code="data.impossible-split",
        message=f"{written} comes to {count} of n = {rows} training rows, of which {left} are not held out yet",
        field=f"data.{name}",
        found=written,
        allowed=f"1 to {left - 1} rows" if left > 1 else "more training rows",
        fix="choose another share, or name a file of its own",
    )
