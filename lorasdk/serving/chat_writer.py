"""Answers of ``/v1/chat/completions`` on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorasdk.asking import ChosenToken, Piece, TokenChance
from lorasdk.results import Completion
from lorasdk.serving.writing import Answered, Head, Json


@dataclass(frozen=True, slots=True)
class ChatWriter:
    """Writes messages, and deltas of messages."""

    head: Head
    logprobs: bool
    """Whether the tokens are told."""
    kind: str = "chat.completion"
    chunk_kind: str = "chat.completion.chunk"

    def whole(self, index: int, answered: Answered) -> Json:
        """A message."""
        text = answered.completion.text
        return {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": self._logprobs(answered.tokens),
            "finish_reason": answered.completion.finish_reason,
        }

    def first(self, index: int) -> Json | None:
        """Who speaks."""
        return self._delta(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, piece: Piece) -> Json:
        """Some more text."""
        return self._delta(index, {"content": piece.text}, logprobs=self._logprobs(piece.tokens))

    def last(self, index: int, completion: Completion) -> Json:
        """Why it ended."""
        return self._delta(index, {}, finish_reason=completion.finish_reason)

    def _delta(
        self, index: int, delta: Json, *, logprobs: Json | None = None, finish_reason: str | None = None
    ) -> Json:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}

    def _logprobs(self, tokens: Sequence[ChosenToken]) -> Json | None:
        if not self.logprobs:
            return None
        content = [
            {**_chance(chosen.token), "top_logprobs": [_chance(other) for other in chosen.likeliest]}
            for chosen in tokens
        ]
        return {"content": content, "refusal": None}


def _chance(chance: TokenChance) -> dict[str, Any]:
    return {"token": chance.text, "bytes": list(chance.raw), "logprob": chance.log_probability}
