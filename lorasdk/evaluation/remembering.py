"""A predictor that is asked each thing once, however many evaluators ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lorasdk.contracts import Example, Message, Predictor
from lorasdk.results import AnswerScore, Completion

Turns: TypeAlias = tuple[tuple[str, ...], ...]


@dataclass
class RememberingPredictor:
    """A predictor that answers each conversation, and scores each answer, once, however many evaluators ask."""

    predictor: Predictor
    _known: dict[Turns, Completion] = field(default_factory=dict)
    _scored: dict[tuple[Turns, str], AnswerScore] = field(default_factory=dict)

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each conversation, in order."""
        wanted = [_turns(prompt) for prompt in prompts]
        asked = dict(zip(wanted, prompts, strict=True))
        fresh = [turns for turns in asked if turns not in self._known]
        if fresh:
            found = self.predictor.complete([asked[turns] for turns in fresh])
            self._known.update(zip(fresh, found, strict=True))
        return [self._known[turns] for turns in wanted]

    def texts(self, examples: Sequence[Example]) -> list[str]:
        """Its answer to each example; empty unless somebody has asked for all of them."""
        wanted = [_turns(example.prompt) for example in examples]
        known = all(turns in self._known for turns in wanted)
        return [self._known[turns].text for turns in wanted] if known else []

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        """Score each answer after its prompt, in order."""
        wanted = [(_turns(prompt), answer) for prompt, answer in zip(prompts, answers, strict=True)]
        asked = dict(zip(wanted, prompts, strict=True))
        fresh = [pair for pair in asked if pair not in self._scored]
        if fresh:
            answered = [answer for _, answer in fresh]
            found = self.predictor.log_probabilities([asked[pair] for pair in fresh], answered)
            self._scored.update(zip(fresh, found, strict=True))
        return [self._scored[pair] for pair in wanted]


def _turns(prompt: Sequence[Message]) -> Turns:
    """What tells a conversation from others; a message with tool calls cannot be a key itself."""
    return tuple((turn.role, turn.content, repr((turn.tool_calls, turn.tool_call_id, turn.name))) for turn in prompt)
