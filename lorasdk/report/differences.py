"""Marks what two answers do not share, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

SHOWN = 600
"""Characters of a text that are shown at once, and compared."""
_WORDS = re.compile(r"[一-鿿぀-ヿ]|\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text."""

    text: str
    differs: bool
    """Whether the other text lacks it."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text as far as it is shown at once, and the whole of it where that is more."""

    pieces: tuple[Piece, ...]
    whole: str | None = None


def shortened(text: str) -> ShownText:
    """A text with nothing marked."""
    short, whole = _short(text)
    return ShownText((Piece(short, differs=False),), whole)


def compared(one: str, other: str) -> tuple[ShownText, ShownText]:
    """Two texts, each with what the other lacks marked."""
    (short_one, whole_one), (short_other, whole_other) = _short(one), _short(other)
    words_one, words_other = _WORDS.findall(short_one), _WORDS.findall(short_other)
    blocks = SequenceMatcher(None, words_one, words_other, autojunk=False).get_matching_blocks()
    shared_one = {block.a + i for block in blocks for i in range(block.size)}
    shared_other = {block.b + i for block in blocks for i in range(block.size)}
    return (
        ShownText(tuple(_pieces(words_one, shared_one)), whole_one),
        ShownText(tuple(_pieces(words_other, shared_other)), whole_other),
    )


def _short(text: str) -> tuple[str, str | None]:
    return (text, None) if len(text) <= SHOWN else (text[:SHOWN], text)


def _pieces(words: Sequence[str], shared: set[int]) -> Iterator[Piece]:
    def differ(number: int) -> bool:
        # A space between two words that differ would only break the mark.
        lonely = words[number].isspace() and not shared & {number - 1, number + 1} and 0 < number < len(words) - 1
        return lonely or number not in shared

    for differs, numbers in groupby(range(len(words)), key=differ):
        yield Piece("".join(words[number] for number in numbers), differs)
