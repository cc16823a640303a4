"""Finds rows that stand twice, and held-out rows that were trained on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from lorasdk.contracts import Example
from lorasdk.data.canonical import canonical_json
from lorasdk.errors import Problem
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


@dataclass(frozen=True)
class Overlapping:
    """A held-out split, and which of its rows ask what a training row asks."""

    split: str
    rows: Sequence[int]
    of: int
    """Rows of the split."""

    @property
    def share(self) -> float:
        """Of the split's rows, 0 to 1."""
        return len(self.rows) / self.of

    def notice(self) -> Notice:
        """What to tell of it."""
        return Notice("data.overlap", f"{self._asks()}: rows {_list(self.rows)}")

    def refusal(self, most: float) -> Problem:
        """What to tell where more than a share of `most` is too much."""
        return Problem(
            code="data.too-much-overlap",
            message=f"{self._asks()}, so that scores on them show what was learnt by heart",
            field="evaluation.max_overlap",
            found=f"a share of {self.share:.3g}: rows {_list(self.rows)}",
            allowed=f"a share of at most {most:g}",
            fix=f"remove these rows from {self.split} or from train, or raise evaluation.max_overlap; null allows all",
        )

    def _asks(self) -> str:
        return f"{len(self.rows)} of {self.of} {self.split} rows ask what a training row asks"


@dataclass(frozen=True)
class Duplicates:
    """What stands twice in the rows of a recipe."""

    repeated: Sequence[int]
    """Training rows that say what an earlier one says."""
    of: int
    """Training rows."""
    overlaps: Mapping[str, Overlapping]
    """By held-out split."""

    def notices(self) -> list[Notice]:
        """One for training rows that repeat an earlier one, and one per held-out split that overlaps training."""
        repeat = f"{len(self.repeated)} of {self.of} training rows repeat an earlier one: rows {_list(self.repeated)}"
        told = [Notice("data.duplicates", repeat)] if self.repeated else []
        return told + [overlapping.notice() for overlapping in self.overlaps.values() if overlapping.rows]


def find_duplicates(splits: Mapping[str, Sequence[Example]]) -> Duplicates:
    """Compare the rows of ``train`` with each other, and those of each other split with them."""
    import numpy as np

    train = _Digests.of(splits["train"])
    _, first = np.unique(np.asarray(train.contents), return_index=True)
    repeated: list[int] = np.delete(np.asarray(train.rows), first).tolist()
    held_out = {name: _Digests.of(examples) for name, examples in splits.items() if name != "train"}
    overlaps = {name: Overlapping(name, _shared(held, train), len(held.rows)) for name, held in held_out.items()}
    return Duplicates(repeated, len(train.rows), overlaps)


def asked_in_training(held_out: Iterable[Example], train: Iterable[Example]) -> list[int]:
    """Row numbers of held-out rows whose prompt, tools and all, or whose plain text, a training row has too."""
    return _shared(_Digests.of(held_out), _Digests.of(train))


def _shared(held: _Digests, train: _Digests) -> list[int]:
    import numpy as np

    rows: list[int] = np.asarray(held.rows)[np.isin(np.asarray(held.questions), np.asarray(train.questions))].tolist()
    return rows


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=DIGEST_BYTES).digest(), "little")


def _list(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:SHOWN])) + (", …" if len(rows) > SHOWN else "")
