"""How many test rows were as good as trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorasdk.contracts import Example
from lorasdk.data.duplicates import asked_in_training
from lorasdk.eval_report import Overlap


def overlap(test: Sequence[Example], train: Iterable[Example]) -> Overlap:
    """Count the test rows that ask what a training row asks: the same turns before the answer, or the same plain text.

    Args:
        test: at least one row.
        train: read once.
    """
    rows = asked_in_training(test, train)
    return Overlap(len(rows), len(rows) / len(test))
