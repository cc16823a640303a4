"""A predictor without a model: answers as it is told to, in no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lorasdk.contracts import Message
from lorasdk.results import AnswerScore, Completion

Answers: TypeAlias = str | Mapping[str, str] | Callable[[Sequence[Message]], str]
"""One answer for everything, answers by what the last turn of the prompt says, or a function of the prompt."""

LIKELY, UNLIKELY = -0.1, -5.0
"""Nats per word of the answer it would give itself, and of any other."""


@dataclass
class FakePredictor:
    """Fulfils `lorasdk.Predictor`; words count as tokens.

    Example:
        >>> from lorasdk import Message
        >>> from lorasdk.testing import FakePredictor
        >>> predictor = FakePredictor({"What is a ferry?": "a boat"})
        >>> predictor.complete([[Message("user", "What is a ferry?")]])[0].text
        'a boat'
    """

    answers: Answers = ""
    """What it answers; to a prompt that a mapping does not have, nothing."""
    asked: list[tuple[Message, ...]] = field(default_factory=list)
    """Every prompt it was given, in order."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each prompt."""
        return [self._completion(prompt) for prompt in prompts]

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        """Its own answer is likely, every other unlikely."""
        return [self._score(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]

    def stream(self, prompt: Sequence[Message]) -> Iterator[str]:
        """Its answer, word by word."""
        words = self._completion(prompt).text.split(" ")
        yield from (word if number == 0 else f" {word}" for number, word in enumerate(words))

    def _completion(self, prompt: Sequence[Message]) -> Completion:
        self.asked.append(tuple(prompt))
        text = self._answer(prompt)
        asked = sum(len(turn.content.split()) for turn in prompt)
        return Completion(text, prompt_tokens=asked, completion_tokens=_tokens(text), finish_reason="stop")

    def _score(self, prompt: Sequence[Message], answer: str) -> AnswerScore:
        self.asked.append(tuple(prompt))
        own = answer == self._answer(prompt)
        tokens = _tokens(answer)
        return AnswerScore(tokens * (LIKELY if own else UNLIKELY), tokens, greedy=own)

    def _answer(self, prompt: Sequence[Message]) -> str:
        if isinstance(self.answers, str):
            return self.answers
        if isinstance(self.answers, Mapping):
            return self.answers.get(prompt[-1].content, "")
        return self.answers(prompt)


def _tokens(text: str) -> int:
    """Words, and the end of the turn."""
    return len(text.split()) + 1
