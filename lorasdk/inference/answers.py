"""One answer while it grows."""

from __future__ import annotations

from lorasdk.inference.decoding import Request
from lorasdk.inference.text import Transcript
from lorasdk.results import Completion


class Answer:
    """Takes tokens in until something ends it."""

    def __init__(self, request: Request, transcript: Transcript, stop_ids: frozenset[int]) -> None:
        self.request, self.transcript, self.stop_ids = request, transcript, stop_ids
        self.ids: list[int] = []
        self.stopped = False

    @property
    def tokens(self) -> int:
        """Tokens that were produced, the one that ended the turn included."""
        return len(self.ids)

    @property
    def finished(self) -> bool:
        """Whether a token that ends the turn came, or a stop sequence, or the last token there is room for."""
        return self.stopped or self.tokens >= self.request.limit

    def add(self, token: int) -> None:
        """Take in the next token."""
        self.ids.append(token)
        if token in self.stop_ids:
            self.stopped = True
        else:
            self.transcript.add(token)
            self.stopped = self.transcript.ended

    def completion(self) -> Completion:
        """The answer as callers get it."""
        return Completion(
            text=self.transcript.text,
            prompt_tokens=len(self.request.ids),
            completion_tokens=self.tokens,
            finish_reason="stop" if self.stopped else "length",
        )
