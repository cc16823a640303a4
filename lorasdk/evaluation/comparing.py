"""Scores base and tuned model on the same examples with the same evaluators."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from lorasdk.errors import DataError, PluginError, Problem
from lorasdk.eval_report import EvalReport, Score
from lorasdk.evaluation.remembering import RememberingPredictor
from lorasdk.evaluation.scoring import Subject, aggregate, score
from lorasdk.resolving import BoundEvaluator


def compare(evaluators: Sequence[BoundEvaluator], *, base: Subject, tuned: Subject) -> EvalReport:
    """Score both on the same examples.

    An evaluator that fails costs its own line of the report and nothing else; the report says what went wrong.

    Raises:
        PluginError, DataError: every evaluator failed.
        LorasdkError: a model cannot answer.
    """
    began = time.perf_counter()
    pair = tuple(replace(each, predictor=RememberingPredictor(each.predictor)) for each in (base, tuned))
    scores, failures = [], []
    for bound in evaluators:
        try:
            scores.append(_score(bound, *pair))
        except (PluginError, DataError) as error:
            failures.append(error)
    if failures and not scores:
        raise type(failures[0])(*_problems(failures)) from failures[0]
    return EvalReport(len(base.examples), tuple(scores), time.perf_counter() - began, _problems(failures))


def _score(bound: BoundEvaluator, base: Subject, tuned: Subject) -> Score:
    of_base, of_tuned = score(bound, base), score(bound, tuned)
    one = bound.evaluator
    return Score(one.name, aggregate(one, of_base), aggregate(one, of_tuned), of_base, of_tuned)


def _problems(failures: Sequence[PluginError | DataError]) -> tuple[Problem, ...]:
    return tuple(problem for failure in failures for problem in failure.problems)
