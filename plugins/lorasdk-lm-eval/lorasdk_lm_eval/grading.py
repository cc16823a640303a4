"""Scores answered documents as the harness does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lorasdk import EvaluationContext, PluginError
from lorasdk_lm_eval import refusals
from lorasdk_lm_eval.documents import Asked
from lorasdk_lm_eval.loading import ChosenTask


def grade(asked: Sequence[Asked], context: EvaluationContext) -> list[float]:
    """One score per document of a task, in order.

    Raises:
        PluginError: the task's filters or metric fail, or give no number.
    """
    chosen = asked[0].chosen
    try:
        chosen.task._instances = [instance for each in asked for instance in each.instances]  # noqa: SLF001 - the only way
        chosen.task.apply_filters()
        results = [_results(each) for each in asked]
    except Exception as error:  # filters, metrics and the code of tasks raise what they like
        doing = "its answers were scored"
        raise PluginError(refusals.failed(chosen.name, doing, error, context)) from error
    return [_number(chosen, result, context) for result in results]


def _results(asked: Asked) -> Mapping[str, object]:
    chosen = asked.chosen
    ordered = sorted(asked.instances, key=lambda instance: instance.idx)
    answers = [instance.filtered_resps[chosen.answer_filter] for instance in ordered]
    return chosen.task.process_results(asked.document, answers)


def _number(chosen: ChosenTask, results: Mapping[str, object], context: EvaluationContext) -> float:
    try:
        return float(results[chosen.metric])  # type: ignore[arg-type]  # what is no number raises
    except (KeyError, TypeError, ValueError) as error:
        given = results.get(chosen.metric, results)
        raise PluginError(refusals.no_score(chosen.name, chosen.metric, given, context)) from error
