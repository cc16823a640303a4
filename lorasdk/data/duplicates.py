"""Finds rows that stand twice, and held-out rows that were trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from lorasdk.contracts import Example
from lorasdk.data.canonical import canonical_json
from lorasdk.events import Notice

SHOWN = 10


def duplicate_notices(splits: Mapping[str, Sequence[Example]]) -> list[Notice]:
    """One notice for training rows that repeat an earlier one, and one per held-out split that overlaps training."""
    train = splits["train"]
    notices = []
    first: dict[bytes, int] = {}
    repeated = [e.row for e in train if first.setdefault(_content(e), e.row) != e.row]
    if repeated:
        message = f"{len(repeated)} of {len(train)} training rows repeat an earlier one: rows {_list(repeated)}"
        notices.append(Notice("data.duplicates", message))
    prompts = {_question(example) for example in train}
    for name, examples in splits.items():
        both = [e.row for e in examples if _question(e) in prompts] if name != "train" else []
        if both:
            message = f"{len(both)} of {len(examples)} {name} rows ask what a training row asks: rows {_list(both)}"
            notices.append(Notice("data.overlap", message))
    return notices


def _content(example: Example) -> bytes:
    return sha256(canonical_json(example.messages, example.text, example.tools)).digest()


def _question(example: Example) -> bytes:
    asked = example.prompt if example.text is None else ()
    return sha256(canonical_json(asked, example.text, example.tools)).digest()


def _list(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:SHOWN])) + (", …" if len(rows) > SHOWN else "")
