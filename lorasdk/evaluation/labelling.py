"""When references are labels, and which label an answer gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lorasdk.builtin.choice import FEWEST_LABELS, MOST_LABELS
from lorasdk.builtin.normalising import normalised
from lorasdk.contracts import Example


def label_of(text: str) -> str:
    """What answers and references are compared as: white space, case and one final full stop do not count."""
    return normalised(text, "case")


def labels_among(examples: Sequence[Example]) -> tuple[str, ...] | None:
    """The labels that the references are, by falling number of rows, as the first row with each spells it.

    References are labels when they are a closed set that repeats: 2 to 100 different ones, none of them empty, at least
    half of which stand in more than one row. None when they are not, as where most rows have an answer of their own.
    """
    if any(example.text is not None for example in examples):
        return None
    rows = Counter(label_of(example.reference) for example in examples)
    repeated = sum(count > 1 for count in rows.values())
    if "" in rows or not FEWEST_LABELS <= len(rows) <= MOST_LABELS or repeated < len(rows) / 2:
        return None
    spelt = {label_of(example.reference): example.reference for example in reversed(examples)}
    return tuple(normalised(spelt[label], "space") for label, _ in rows.most_common())
