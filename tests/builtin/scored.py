"""Scores one evaluator on given answers, for the tests of the built-in ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorasdk.contracts import EvaluationContext, Evaluator, Example, Message
from lorasdk.testing import FakePredictor

CONTEXT = EvaluationContext(Path(), "recipe.yaml:9:5", "tuned", lambda _code, _message: None, lambda: None)


def scored(evaluator: Evaluator, pairs: Sequence[tuple[str, str]], **options: object) -> list[float]:
    """Scores of pairs of answer and reference."""
    answers = {f"q{row}": answer for row, (answer, _) in enumerate(pairs, start=1)}
    examples = [
        Example(row, (Message("user", f"q{row}"), Message("assistant", reference)))
        for row, (_, reference) in enumerate(pairs, start=1)
    ]
    made = evaluator.Options.model_validate(options)
    return list(evaluator.score(made, examples, FakePredictor(answers), CONTEXT))


def one(evaluator: Evaluator, answer: str, reference: str, **options: object) -> float:
    """The score of one answer."""
    return scored(evaluator, [(answer, reference)], **options)[0]
