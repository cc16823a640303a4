"""Turns produced tokens into text as they come, and ends at stop sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNFINISHED = "�"
"""What decoders write for the first bytes of a letter whose last bytes are still to come."""


class Transcript:
    """The text of one answer while its tokens arrive."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self.tokenizer, self.stop = tokenizer, tuple(stop)
        self.ids: list[int] = []
        self.text = ""
        self.told = 0
        self.ended = False

    def add(self, token: int) -> None:
        """Take in one token that does not end the turn; `ended` says whether a stop sequence came."""
        self.ids.append(token)
        self.text = str(self.tokenizer.decode(self.ids, skip_special_tokens=True))
        found = [at for at in (self.text.find(stop) for stop in self.stop) if at >= 0]
        if found:
            self.text, self.ended = self.text[: min(found)], True

    def news(self, *, final: bool) -> str:
        """Text that is certain and was not told yet; all the rest when `final`."""
        certain = len(self.text) if final or self.ended else self._certain()
        piece = self.text[self.told : certain]
        self.told = max(self.told, certain)
        return piece

    def _certain(self) -> int:
        """How much of the text neither a coming byte nor a coming stop sequence can still change."""
        end = len(self.text.rstrip(UNFINISHED))
        for stop in self.stop:
            for length in range(min(len(stop) - 1, end), 0, -1):
                if self.text.endswith(stop[:length], 0, end):
                    end -= length
                    break
        return end
