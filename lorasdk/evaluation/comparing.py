"""Scores base and tuned model on the same examples with the same evaluators."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorasdk.contracts import Evaluator, Example, Message, Predictor
from lorasdk.errors import PluginError, Problem
from lorasdk.results import Completion, EvalReport, Score

Chosen = Sequence[tuple[Evaluator, Any]]
"""Evaluators with their validated options."""


@dataclass
class RememberingPredictor:
    """A predictor that answers each conversation once, however many evaluators ask."""

    predictor: Predictor
    _known: dict[tuple[Message, ...], Completion] = field(default_factory=dict)

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each conversation, in order."""
        wanted = [tuple(prompt) for prompt in prompts]
        fresh = [prompt for prompt in dict.fromkeys(wanted) if prompt not in self._known]
        if fresh:
            self._known.update(zip(fresh, self.predictor.complete(fresh), strict=True))
        return [self._known[prompt] for prompt in wanted]


def compare(examples: Sequence[Example], evaluators: Chosen, *, base: Predictor, tuned: Predictor) -> EvalReport:
    """Score both predictors on `examples`.

    Raises:
        PluginError: an evaluator does not give one finite number per example.
    """
    began = time.perf_counter()
    both = [score_rows(examples, evaluators, RememberingPredictor(predictor)) for predictor in (base, tuned)]
    scores = tuple(
        Score(name, _mean(both[0][name]), _mean(both[1][name]), both[0][name], both[1][name]) for name in both[0]
    )
    return EvalReport(len(examples), scores, time.perf_counter() - began)


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


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)
