"""Builds the tasks of a recipe: their documents, the shown examples, and what scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorasdk import DataError, EvaluationContext, PluginError
from lorasdk_lm_eval import refusals
from lorasdk_lm_eval.catalogue import Entries, find, why_not
from lorasdk_lm_eval.guest import OTHER_SEED
from lorasdk_lm_eval.harness import Task, is_mean, load_tasks
from lorasdk_lm_eval.options import LmEvalOptions


@dataclass(frozen=True)
class ChosenTask:
    """A task with its documents loaded, and what scores one of them."""

    name: str
    """What the harness calls it; kept, since its own property draws from the host's random numbers."""
    task: Task
    metric: str
    """Whose value is a document's score."""
    answer_filter: str
    """What prepares the answers."""
    fixed_shots: bool
    """Whether the recipe asked for shown examples that this task never has."""


def load(options: LmEvalOptions, context: EvaluationContext, *, trusted: bool) -> list[ChosenTask]:
    """The tasks, in the order of their names in the recipe; groups and tags in the harness' own.

    Raises:
        DataError: a task's data cannot be had.
        PluginError: as `find`, or a task cannot be built, or lacks the metric or filter.
    """
    entries = find(options, context, trusted=trusted)
    tasks: dict[str, Task] = {}
    for name in options.tasks:
        context.check_stop()
        tasks |= _loaded(name, entries, context)
    return [_choose(name, task, options, context) for name, task in tasks.items()]


def _loaded(name: str, entries: Entries, context: EvaluationContext) -> dict[str, Task]:
    from datasets.exceptions import DatasetsError

    try:
        return load_tasks(name, entries)
    except (OSError, DatasetsError) as error:
        raise DataError(refusals.no_data(name, error, context)) from error
    except Exception as error:  # the harness raises what it likes, and so does the code of tasks
        raise PluginError(refusals.failed(name, "it was loaded", error, context)) from error


def _choose(name: str, task: Task, options: LmEvalOptions, context: EvaluationContext) -> ChosenTask:
    why = why_not(task.get_config) or _why_not_repeated(task)
    if why:
        raise PluginError(refusals.unsupported(name, why, context))
    return ChosenTask(
        name,
        task,
        _metric(name, task, options.metric, context),
        _filter(name, task, options.answer_filter, context),
        fixed_shots=_set_shots(task, options.num_fewshot),
    )


def _why_not_repeated(task: Task) -> str | None:
    repeats = task.get_config("repeats") or 1
    return f"draws {repeats} answers to each prompt, and a predictor gives one" if repeats > 1 else None


def _metric(name: str, task: Task, wanted: str | None, context: EvaluationContext) -> str:
    known, upwards = task.aggregation(), task.higher_is_better()
    usable = [metric for metric, how in known.items() if is_mean(how) and upwards.get(metric, True)]
    if wanted is not None and wanted not in known:
        raise PluginError(refusals.not_among("metric", wanted, name, list(known), context))
    if not usable or wanted not in (None, *usable):
        found = list(known) if wanted is None else [wanted]
        raise PluginError(refusals.unsupported_metric(name, found, usable, context))
    return wanted or usable[0]


def _filter(name: str, task: Task, wanted: str | None, context: EvaluationContext) -> str:
    known: Sequence[str] = [each["name"] for each in task.get_config("filter_list") or [{"name": "none"}]]
    if wanted is not None and wanted not in known:
        raise PluginError(refusals.not_among("filter", wanted, name, known, context))
    return wanted or known[0]


def _set_shots(task: Task, wanted: int | None) -> bool:
    """As the harness' own command does; whether the wish was not followed, because the task says 0 itself."""
    own = task.get_config("num_fewshot")
    if wanted is not None and own != 0:
        task.set_config("num_fewshot", wanted)
    elif own is None:
        task.set_config("num_fewshot", 0)
    task.set_fewshot_seed(OTHER_SEED)
    return bool(wanted) and own == 0
