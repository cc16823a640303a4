"""Turns produced tokens into text as they come, and ends at stop sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNFINISHED = "�"
"""What decoders write for the first bytes of a letter whose last bytes are still to come."""


class Transcript:
    """The text of one answer while its tokens arrive.

    Text is decoded in pieces: the tokens since the last piece, behind those of the last piece, since a decoder may
    treat the first token of a text specially. A piece that ends within a letter waits for the rest of it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self.tokenizer, self.stop = tokenizer, tuple(stop)
        self.ids: list[int] = []
        self.told = 0
        self.ended = False
        self._settled, self._pending = "", ""
        # Tokens from `_context` to `_done` are the last piece; those from `_done` on are pending.
        self._context, self._done, self._decoded = 0, 0, 0

    @property
    def text(self) -> str:
        """All of the text so far, without a stop sequence that ended it."""
        self._decode()
        return self._settled + self._pending

    def add(self, token: int) -> None:
        """Take in one token that does not end the turn; `ended` says whether a stop sequence came."""
        self.ids.append(token)
        if self.stop:
            # A stop sequence that was not there before ends in text that was not there before.
            begin = max(0, len(self._settled) - max(map(len, self.stop)) + 1)
            self._decode()
            self._end_at_stop(begin)

    def news(self, *, final: bool) -> str:
        """Text that is certain and was not told yet; all the rest when `final`."""
        text = self.text
        certain = len(text) if final or self.ended else self._certain(text)
        piece = text[self.told : certain]
        self.told = max(self.told, certain)
        return piece

    def _decode(self) -> None:
        """Bring the text up to the last token."""
        if self._decoded == len(self.ids):
            return
        self._decoded = len(self.ids)
        before = self._text_of(self.ids[self._context : self._done])
        piece = self._text_of(self.ids[self._context :])[len(before) :]
        if piece and not piece.endswith(UNFINISHED):
            self._settled, self._pending = self._settled + piece, ""
            self._context, self._done = self._done, len(self.ids)
        else:
            self._pending = piece

    def _text_of(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)) if ids else ""

    def _end_at_stop(self, begin: int) -> None:
        found = [at for at in (self.text.find(stop, begin) for stop in self.stop) if at >= 0]
        if found:
            self._settled, self._pending, self.ended = self.text[: min(found)], "", True

    def _certain(self, text: str) -> int:
        """How much of the text neither a coming byte nor a coming stop sequence can still change."""
        end = len(text.rstrip(UNFINISHED))
        for stop in self.stop:
            for length in range(min(len(stop) - 1, end), 0, -1):
                if text.endswith(stop[:length], 0, end):
                    end -= length
                    break
        return end
