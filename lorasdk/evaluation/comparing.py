"""Scores base and tuned model on the same examples with the same evaluators."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeAlias

from lorasdk.contracts import Aggregating, Evaluator, Example, Message, Predictor
from lorasdk.errors import PluginError, Problem
from lorasdk.results import AnswerScore, Completion, EvalReport, Score

Chosen = Sequence[tuple[Evaluator, Any]]
"""Evaluators with their validated options."""

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


def compare(examples: Sequence[Example], evaluators: Chosen, *, base: Predictor, tuned: Predictor) -> EvalReport:
    """Score both predictors on `examples`.

    Raises:
        PluginError: an evaluator does not give one finite number per example.
    """
    began = time.perf_counter()
    of_base, of_tuned = (score_rows(examples, evaluators, RememberingPredictor(each)) for each in (base, tuned))
    named = {evaluator.name: evaluator for evaluator, _ in evaluators}
    scores = tuple(
        Score(name, aggregate(one, of_base[name]), aggregate(one, of_tuned[name]), of_base[name], of_tuned[name])
        for name, one in named.items()
    )
    return EvalReport(len(examples), scores, time.perf_counter() - began)


def aggregate(evaluator: Evaluator, scores: Sequence[float]) -> float:
    """One number for the evaluator's scores of at least one row."""
    return evaluator.aggregate(scores) if isinstance(evaluator, Aggregating) else fmean(scores)


def score_rows(
    examples: Sequence[Example], evaluators: Chosen, predictor: Predictor
) -> Mapping[str, tuple[float, ...]]:
    """One score per example and evaluator.

    Raises:
        PluginError: as `compare`.
    """
    return {evaluator.name: _scores(evaluator, options, examples, predictor) for evaluator, options in evaluators}


def _scores(
    evaluator: Evaluator, options: object, examples: Sequence[Example], predictor: Predictor
) -> tuple[float, ...]:
    scores = tuple(float(score) for score in evaluator.score(options, examples, predictor))
    if len(scores) != len(examples):
        raise PluginError(
            Problem(
                code="plugin.wrong-number-of-scores",
                message=f"evaluator {evaluator.name!r} gave {len(scores)} scores for {len(examples)} examples",
                allowed="one score per example, in order",
                fix="repair the evaluator's score method",
            )
        )
    return scores
