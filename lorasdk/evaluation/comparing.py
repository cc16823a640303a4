"""Scores base and tuned model on the same examples with the same evaluators."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from lorasdk.contracts import Example
from lorasdk.errors import DataError, PluginError, Problem
from lorasdk.eval_report import AnswerPair, EvalReport, Score
from lorasdk.evaluation.labels import label_report
from lorasdk.evaluation.remembering import RememberingPredictor
from lorasdk.evaluation.scoring import Subject, score
from lorasdk.evaluation.statistics import judged
from lorasdk.resolving import BoundEvaluator


def compare(
    evaluators: Sequence[BoundEvaluator], *, base: Subject, tuned: Subject, training: Sequence[Example] = ()
) -> EvalReport:
    """Score both on the same examples.

    An evaluator that fails costs its own line of the report and nothing else; the report says what went wrong.

    Args:
        evaluators: with their options.
        base: the untouched base model.
        tuned: the same with the adapter, on the same examples.
        training: the training rows, where they are known: what needs no model learns from them.

    Raises:
        LorasdkError: a model cannot answer.
    """
    began = time.perf_counter()
    remembering = RememberingPredictor(base.predictor), RememberingPredictor(tuned.predictor)
    pair = replace(base, predictor=remembering[0]), replace(tuned, predictor=remembering[1])
    scores: list[Score] = []
    failures: list[Problem] = []
    for bound in evaluators:
        try:
            scores.append(_score(bound, *pair))
        except (PluginError, DataError) as error:
            failures += error.problems
    texts_of_base, texts_of_tuned = (each.texts(base.examples) for each in remembering)
    return EvalReport(
        rows=len(base.examples),
        scores=_told_apart(scores),
        seconds=time.perf_counter() - began,
        failures=tuple(failures),
        answers=tuple(map(_pair, base.examples, texts_of_base, texts_of_tuned)),
        labels=label_report(base.examples, texts_of_base, texts_of_tuned, training) if texts_of_base else None,
    )


def no_score(report: EvalReport) -> PluginError | None:
    """The error of a report in which every evaluator failed."""
    return PluginError(*report.failures) if report.failures and not report.scores else None


def _score(bound: BoundEvaluator, base: Subject, tuned: Subject) -> Score:
    return judged(bound.evaluator.name, bound.evaluator, score(bound, base), score(bound, tuned))


def _told_apart(scores: Sequence[Score]) -> tuple[Score, ...]:
    """The same evaluator may stand there twice, with other options."""
    seen: Counter[str] = Counter()
    named = []
    for each in scores:
        seen[each.evaluator] += 1
        number = seen[each.evaluator]
        named.append(each if number == 1 else replace(each, evaluator=f"{each.evaluator} ({number})"))
    return tuple(named)


def _pair(example: Example, base: str, tuned: str) -> AnswerPair:
    turns = example.prompt
    named = len(turns) > 1
    prompt = "\n\n".join(f"{turn.role}: {turn.content}" if named else turn.content for turn in turns)
    return AnswerPair(example.row, prompt, example.reference, base, tuned)
