"""One request on its way through a scheduler: its tokens, its text, and who hears of them."""

from __future__ import annotations

import logging

import torch

from lorasdk.asking import ChosenToken, Piece, Tell, Update
from lorasdk.errors import LorasdkError
from lorasdk.inference.answers import Answer
from lorasdk.inference.decoding import Request
from lorasdk.inference.token_texts import TokenTexts

LOGGER = logging.getLogger("lorasdk")


class Ticket:
    """`lorasdk.asking.Ticket`; all but `cancel` is called by the scheduler's thread."""

    def __init__(self, answer: Answer, tell: Tell, *, logprobs: int | None, texts: TokenTexts) -> None:
        self.answer, self.logprobs = answer, logprobs
        self.wanted = True
        self._tell, self._texts = tell, texts
        self._untold: list[ChosenToken] = []

    @property
    def request(self) -> Request:
        """What is asked."""
        return self.answer.request

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        return len(self.request.ids)

    def cancel(self) -> None:
        """End the work at the next token."""
        self.wanted = False

    def add(self, token: int, logits: torch.Tensor) -> None:
        """Take in the next token, and tell what is certain of the text.

        Args:
            token: what was chosen.
            logits: (vocabulary,) what it was chosen from.
        """
        self.answer.add(token)
        if self.logprobs is not None and token not in self.answer.stop_ids:
            self._untold.append(self._texts.chosen(token, logits, self.logprobs))
        self._tell_text(final=self.answer.finished)

    def end(self) -> None:
        """Tell that the answer is whole."""
        self._say(self.answer.completion())

    def fail(self, error: LorasdkError) -> None:
        """Tell why there is no more."""
        self._say(error)

    def _tell_text(self, *, final: bool) -> None:
        text = self.answer.transcript.news(final=final)
        if text or (final and self._untold):
            self._say(Piece(text, tuple(self._untold)))
            self._untold = []

    def _say(self, update: Update) -> None:
        try:
            self._tell(update)
        except Exception:
            # The host's code; the other requests must not pay for it.
            LOGGER.exception("what hears a request's updates has failed; the request is dropped")
            self.wanted = False
