"""Answers of ``/v1/completions`` on the wire."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lorasdk.asking import ChosenToken, Piece
from lorasdk.results import Completion
from lorasdk.serving.writing import Answered, Head, Json


@dataclass(frozen=True, slots=True)
class CompletionWriter:
    """Writes texts, whole or in parts; knows how far each answer has come."""

    head: Head
    logprobs: bool
    """Whether the tokens are told."""
    prompts: tuple[str, ...]
    """What each answer's text begins with."""
    kind: str = "text_completion"
    chunk_kind: str = "text_completion"
    _lengths: dict[int, Length] = field(default_factory=dict)
    """How far each answer has come."""

    def whole(self, index: int, answered: Answered) -> Json:
        """All of the text."""
        text = self.prompts[index] + answered.completion.text
        return self._choice(index, text, self._logprobs(index, answered.tokens), answered.completion.finish_reason)

    def first(self, index: int) -> Json | None:
        """The prompt, if it shall be echoed."""
        return self._choice(index, self.prompts[index], None, None) if self.prompts[index] else None

    def piece(self, index: int, piece: Piece) -> Json:
        """Some more text."""
        return self._choice(index, piece.text, self._logprobs(index, piece.tokens), None)

    def last(self, index: int, completion: Completion) -> Json:
        """Why it ended."""
        return self._choice(index, "", None, completion.finish_reason)

    def _choice(self, index: int, text: str, logprobs: Json | None, finish_reason: str | None) -> Json:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}

    def _logprobs(self, index: int, tokens: Sequence[ChosenToken]) -> Json | None:
        if not self.logprobs:
            return None
        return {
            "tokens": [chosen.token.text for chosen in tokens],
            "token_logprobs": [chosen.token.log_probability for chosen in tokens],
            "top_logprobs": [_by_text(chosen) for chosen in tokens],
            "text_offset": [self._offset(index, chosen) for chosen in tokens],
        }

    def _offset(self, index: int, chosen: ChosenToken) -> int:
        """Where in the answer a token begins, in letters."""
        length = self._lengths.setdefault(index, Length())
        before = length.letters
        length.add(chosen.token.raw)
        return before


class Length:
    """Letters of a text that comes in bytes; a token may end within a letter."""

    def __init__(self) -> None:
        self.letters = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, raw: bytes) -> None:
        """Take in some more."""
        self.letters += len(self._decoder.decode(raw))


def _by_text(chosen: ChosenToken) -> dict[str, Any]:
    """The likeliest tokens and the chosen one; of tokens that read the same, the likelier."""
    chances = sorted((chosen.token, *chosen.likeliest), key=lambda chance: chance.log_probability)
    return {chance.text: chance.log_probability for chance in chances}
