"""Finds rows that stand twice, and held-out rows that were trained on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from lorasdk.contracts import Example
from lorasdk.data.canonical import canonical_json
from lorasdk.events import Notice

SHOWN = 10
DIGEST_BYTES = 8
"""Two of a million different rows look alike once in some forty million data sets, and then a notice errs by one."""


@dataclass(frozen=True)
class _Digests:
    """What is remembered of a split: three numbers a row."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    contents: array[int] = field(default_factory=lambda: array("Q"))
    questions: array[int] = field(default_factory=lambda: array("Q"))

    @classmethod
    def of(cls, examples: Iterable[Example]) -> _Digests:
        digests = cls()
        for example in examples:
            asked = example.prompt if example.text is None else ()
            digests.rows.append(example.row)
            digests.contents.append(_digest(canonical_json(example.messages, example.text, example.tools)))
            digests.questions.append(_digest(canonical_json(asked, example.text, example.tools)))
        return digests


def duplicate_notices(splits: Mapping[str, Sequence[Example]]) -> list[Notice]:
    """One notice for training rows that repeat an earlier one, and one per held-out split that overlaps training."""
    import numpy as np

    train = _Digests.of(splits["train"])
    notices = []
    _, first = np.unique(np.asarray(train.contents), return_index=True)
    repeated = np.delete(np.asarray(train.rows), first)
    if repeated.size:
        repeat = f"{repeated.size} of {len(train.rows)} training rows repeat an earlier one"
        notices.append(Notice("data.duplicates", f"{repeat}: rows {_list(repeated.tolist())}"))
    for name in (name for name in splits if name != "train"):
        held = _Digests.of(splits[name])
        both = np.asarray(held.rows)[np.isin(np.asarray(held.questions), np.asarray(train.questions))]
        if both.size:
            asks = f"{both.size} of {len(held.rows)} {name} rows ask what a training row asks"
            notices.append(Notice("data.overlap", f"{asks}: rows {_list(both.tolist())}"))
    return notices


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=DIGEST_BYTES).digest(), "little")


def _list(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:SHOWN])) + (", …" if len(rows) > SHOWN else "")
