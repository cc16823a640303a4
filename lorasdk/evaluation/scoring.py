"""Scores one predictor with one evaluator, and keeps whatever an evaluator does wrong from looking like a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from lorasdk.contracts import Aggregating, BringingExamples, EvaluationContext, Evaluator, Example, Predictor
from lorasdk.errors import LorasdkError, PluginError, Problem
from lorasdk.events import Emit, Notice
from lorasdk.resolving import BoundEvaluator
from lorasdk.stopping import StopRequestedError

SHOWN = 80
"""Characters of a wrong answer that a message shows."""


@dataclass(frozen=True)
class Subject:
    """Whose answers are scored, on which examples."""

    label: str
    """``base``, ``tuned`` or ``validation``."""
    predictor: Predictor
    examples: Sequence[Example]
    """For evaluators that bring none of their own."""
    emit: Emit
    """Hears the evaluators' notices."""
    check_stop: Callable[[], None]
    """Raises when the work is no longer wanted."""


def score(bound: BoundEvaluator, subject: Subject) -> tuple[float, ...]:
    """One score per example, at least one.

    Raises:
        PluginError: the evaluator failed, or does not give one finite number per example.
        LorasdkError: what the evaluator or the predictor says is wrong.
    """
    context = _context(bound, subject)
    try:
        examples = _examples(bound, subject, context)
        found = tuple(bound.evaluator.score(bound.options, examples, subject.predictor, context))
    except (LorasdkError, StopRequestedError, MemoryError):
        raise
    except Exception as error:  # the evaluator is somebody else's code
        raise PluginError(_failed(bound, subject, error)) from error
    if len(found) != len(examples) or not found:
        raise PluginError(_wrong_number(bound, len(found), len(examples)))
    return tuple(_number(bound, value, number) for number, value in enumerate(found, start=1))


def aggregate(evaluator: Evaluator, scores: Sequence[float]) -> float:
    """One number for the evaluator's scores of at least one row."""
    return evaluator.aggregate(scores) if isinstance(evaluator, Aggregating) else fmean(scores)


def _context(bound: BoundEvaluator, subject: Subject) -> EvaluationContext:
    return EvaluationContext(
        base_dir=bound.base_dir,
        place=bound.place,
        label=subject.label,
        notify=lambda code, message: subject.emit(Notice(code, message)),
        check_stop=subject.check_stop,
    )


def _examples(bound: BoundEvaluator, subject: Subject, context: EvaluationContext) -> Sequence[Example]:
    evaluator = bound.evaluator
    return evaluator.examples(bound.options, context) if isinstance(evaluator, BringingExamples) else subject.examples


def _number(bound: BoundEvaluator, value: object, number: int) -> float:
    try:
        score = float(value)  # type: ignore[arg-type]  # whatever a plugin gave
    except (TypeError, ValueError, OverflowError) as error:
        raise PluginError(_no_number(bound, value, number)) from error
    if not math.isfinite(score):
        raise PluginError(_no_number(bound, value, number))
    return score


def _failed(bound: BoundEvaluator, subject: Subject, error: Exception) -> Problem:
    return Problem(
        code="plugin.evaluator-failed",
        message=f"the evaluator {bound.evaluator.name!r} failed on the answers of {subject.label}: "
        f"{type(error).__name__}: {error}",
        place=bound.place,
        field="evaluation.evaluators",
        fix="repair the evaluator, or leave it out; what was trained is saved",
    )


def _wrong_number(bound: BoundEvaluator, found: int, expected: int) -> Problem:
    return Problem(
        code="plugin.wrong-number-of-scores",
        message=f"evaluator {bound.evaluator.name!r} gave {found} scores for {expected} examples",
        place=bound.place,
        field="evaluation.evaluators",
        allowed="one score per example, in order, and at least one example",
        fix="repair the evaluator's score method",
    )


def _no_number(bound: BoundEvaluator, value: object, number: int) -> Problem:
    return Problem(
        code="plugin.no-number",
        message=f"evaluator {bound.evaluator.name!r} gave something that is no finite number for example {number}",
        place=bound.place,
        field="evaluation.evaluators",
        found=repr(value)[:SHOWN],
        allowed="a finite number for each example",
        fix="repair the evaluator's score method",
    )
