"""The errors of `lm_eval`, one function each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from lorasdk import EvaluationContext, Problem

FIELD = "evaluation.evaluators"


def no_folder(folder: Path, context: EvaluationContext) -> Problem:
    """`include_path` leads nowhere."""
    return Problem(
        code="lm_eval.no-folder",
        message="include_path is no folder",
        place=context.place,
        field=FIELD,
        found=str(folder),
        allowed="a folder with tasks, relative to the recipe",
        fix="correct include_path",
    )


def unknown_task(name: str, known: Iterable[str], context: EvaluationContext) -> Problem:
    """A name that neither the recipe's folder nor the harness has."""
    near = get_close_matches(name, known, n=3)
    return Problem(
        code="lm_eval.unknown-task",
        message=f"there is no task, group or tag {name!r}",
        place=context.place,
        field=FIELD,
        found=repr(name),
        allowed="a task of the installed lm_eval (`lm_eval ls tasks` lists them), or of the folder include_path",
        fix=f"did you mean {' or '.join(map(repr, near))}?" if near else "correct the name, or set include_path",
    )


def unsupported(task: str, why: str, context: EvaluationContext) -> Problem:
    """A task that needs what an evaluator's predictor cannot or must not do."""
    return Problem(
        code="lm_eval.unsupported-task",
        message=f"the task {task!r} {why}",
        place=context.place,
        field=FIELD,
        allowed="tasks of multiple choice, of given answers, or of one generated answer to each prompt, all in text",
        fix="leave the task out",
    )


def task_code(task: str, what: Sequence[str], context: EvaluationContext) -> Problem:
    """A task of the recipe's own folder that is more than data."""
    return Problem(
        code="lm_eval.task-code",
        message=f"the task {task!r} in include_path is more than data, and a recipe may not bring code",
        place=context.place,
        field=FIELD,
        found="; ".join(what),
        allowed="tasks of templates, registered metrics and filters, and data in JSON, CSV, Parquet, text or on a hub",
        fix="do without, or have a program that trusts it pass plugins=[LmEvalPlugin(trust_task_code=True)]",
    )


def no_data(task: str, error: Exception, context: EvaluationContext) -> Problem:
    """The documents cannot be had."""
    return Problem(
        code="lm_eval.no-data",
        message=f"the data of {task!r} cannot be loaded: {type(error).__name__}: {error}",
        place=context.place,
        field=FIELD,
        fix="connect to the network once, so that it is in the cache of `datasets`, or correct the task's data_files",
    )


def failed(task: str, doing: str, error: Exception, context: EvaluationContext) -> Problem:
    """The harness or the task's own code raised."""
    return Problem(
        code="lm_eval.task-failed",
        message=f"the task {task!r} failed when {doing}: {type(error).__name__}: {error}",
        place=context.place,
        field=FIELD,
        fix="correct the task, install what it needs, or leave it out",
    )


def not_among(kind: str, wanted: str, task: str, known: Sequence[str], context: EvaluationContext) -> Problem:
    """A metric or filter that the task does not have."""
    return Problem(
        code=f"lm_eval.unknown-{kind}",
        message=f"the task {task!r} has no {kind} {wanted!r}",
        place=context.place,
        field=FIELD,
        found=repr(wanted),
        allowed=", ".join(known),
        fix=f"choose one of the task's, or evaluate tasks with different {kind}s apart",
    )


def unsupported_metric(task: str, found: Sequence[str], usable: Sequence[str], context: EvaluationContext) -> Problem:
    """A metric that is no mean of scores, or that is better when it is lower."""
    return Problem(
        code="lm_eval.unsupported-metric",
        message=f"the task {task!r} cannot be scored document by document with this metric: either its aggregate "
        "is not the mean of scores of single documents, or lower is better",
        place=context.place,
        field=FIELD,
        found=", ".join(found),
        allowed=", ".join(usable) or "none of this task's metrics",
        fix="set metric to an allowed one" if usable else "leave the task out",
    )


def no_score(task: str, metric: str, given: object, context: EvaluationContext) -> Problem:
    """A document without a number under the metric's name."""
    return Problem(
        code="lm_eval.no-score",
        message=f"the task {task!r} gave no number for {metric!r} of a document",
        place=context.place,
        field=FIELD,
        found=repr(given)[:200],
        allowed="one number for each document",
        fix="set metric to one that the task gives for each document",
    )
