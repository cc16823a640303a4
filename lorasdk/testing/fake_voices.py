"""Who answers for a fake model: its base, its own adapter, and adapters that lie beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lorasdk.asking import Ask, Voice
from lorasdk.contracts import Message
from lorasdk.results import AnswerScore, Completion
from lorasdk.testing.fake_predictor import Answers, FakePredictor


@dataclass(frozen=True, eq=False)
class FakeAdapter:
    """An adapter that was read into no memory."""

    answers: Answers
    """What it answers."""
    rank: int
    """As its passport says."""
    bytes: int = 1_000_000
    """What it is said to take."""


@dataclass
class FakeVoices:
    """Fulfils `lorasdk.heavy_rooms.MixedPredictor`."""

    answers: Answers
    """Of the adapter on the model."""
    base_answers: Answers
    """Of the untouched base model."""
    adapter: bool = True
    """Who answers when no voice is named."""
    asked: list[tuple[Message, ...]] = field(default_factory=list)
    """Every prompt, in order."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each prompt."""
        return self.of(self.adapter).complete(prompts)

    def complete_each(self, prompts: Sequence[Sequence[Message]], voices: Sequence[Voice]) -> list[Completion]:
        """Answer each prompt with the voice of the same place."""
        return [self.of(voice).complete([prompt])[0] for prompt, voice in zip(prompts, voices, strict=True)]

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        """Its own answer is likely, every other unlikely."""
        return self.of(self.adapter).log_probabilities(prompts, answers)

    def stream(self, prompt: Sequence[Message], voice: Voice | None = None) -> Iterator[str]:
        """An answer, word by word."""
        return self.of(self.adapter if voice is None else voice).stream(prompt)

    def say(self, ask: Ask, voice: Voice) -> str:
        """The answer to a request."""
        turns = (Message("user", ask.prompt),) if isinstance(ask.prompt, str) else ask.prompt
        return self.of(voice).complete([turns])[0].text

    def of(self, voice: Voice) -> FakePredictor:
        """Who answers with a voice."""
        if isinstance(voice, FakeAdapter):
            return FakePredictor(voice.answers, self.asked)
        return FakePredictor(self.answers if voice else self.base_answers, self.asked)
