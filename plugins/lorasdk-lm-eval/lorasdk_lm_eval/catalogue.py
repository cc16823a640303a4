"""Finds what a recipe names: in its own folder first, then among what comes with the harness.

All that can be known before a task's data is loaded, and before any code of a task is imported, is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lorasdk import EvaluationContext, PluginError, Problem
from lorasdk_lm_eval import refusals
from lorasdk_lm_eval.harness import Entry, installed_tasks, tasks_in
from lorasdk_lm_eval.local_tasks import in_memory, what_is_code
from lorasdk_lm_eval.options import LmEvalOptions

Entries = Mapping[str, Entry]

UNMARKED = ("longproc/countdown_*.yaml", "score/math/*.yaml")
"""Files of tasks that evaluate what the model writes as Python expressions, without saying so by `unsafe_code`."""
RUNS_ANSWERS = "runs code that the model writes, which an evaluator must not do in its host"


def find(options: LmEvalOptions, context: EvaluationContext, *, trusted: bool) -> dict[str, Entry]:
    """Descriptions of the tasks that are named, and of those that named groups and tags stand for.

    Raises:
        PluginError: a name is unknown, a task needs what cannot be done here, or one of an untrusted folder is code.
    """
    local = known = _local(options, context)
    found, unknown = _reached(options.tasks, known)
    if unknown:
        known = {**installed_tasks(), **local}
        found, unknown = _reached(options.tasks, known)
    problems = [refusals.unknown_task(name, known, context) for name, on_the_spot in unknown.items() if not on_the_spot]
    problems += _refused(found, context)
    if not trusted:
        problems += _with_code(found, local, context)
    if problems:
        raise PluginError(*problems)
    return {name: in_memory(entry, trusted=trusted) if name in local else entry for name, entry in found.items()}


def why_not(of_task: Callable[[str], object]) -> str | None:
    """Why a task cannot be evaluated here, given what its description says under a key; None when it can."""
    if of_task("unsafe_code"):
        return RUNS_ANSWERS
    if of_task("output_type") == "loglikelihood_rolling":
        return "asks how likely a running text is, without a prompt; lorasdk's evaluator perplexity does on your rows"
    if of_task("doc_to_image") or of_task("doc_to_audio"):
        return "shows the model images or sounds"
    return None


def _local(options: LmEvalOptions, context: EvaluationContext) -> dict[str, Entry]:
    if options.include_path is None:
        return {}
    folder = context.base_dir / options.include_path
    if not folder.is_dir():
        raise PluginError(refusals.no_folder(folder, context))
    return tasks_in(folder)


def _reached(names: Iterable[str], known: Entries) -> tuple[dict[str, Entry], dict[str, bool]]:
    """Entries of the names and of their members, and what is unknown: whether a group describes it on the spot."""
    found: dict[str, Entry] = {}
    unknown: dict[str, bool] = {}
    waiting = [(name, False) for name in names]
    while waiting:
        name, on_the_spot = waiting.pop(0)
        if name not in known:
            unknown[name] = on_the_spot and unknown.get(name, True)
        elif name not in found:
            found[name] = known[name]
            waiting += _members(known[name])
    return found, unknown


def _members(entry: Entry) -> Iterator[tuple[str, bool]]:
    if entry.kind.name == "TAG":
        yield from ((name, False) for name in sorted(entry.tags))
    members = (entry.cfg or {}).get("task")
    yield from _named(members) if isinstance(members, list) else ()


def _named(members: Iterable[Any]) -> Iterator[tuple[str, bool]]:
    """Names in a group's list; one with more than a name may be a task to change, or described on the spot."""
    for member in members:
        if isinstance(member, str):
            yield member, False
            continue
        name, below = member.get("group", member.get("task")), member.get("task")
        if isinstance(name, str):
            yield name, True
        yield from _named(below) if isinstance(below, list) else ()


def _refused(found: Entries, context: EvaluationContext) -> list[Problem]:
    reasons = {name: _why_not_unmarked(entry) or why_not((entry.cfg or {}).get) for name, entry in found.items()}
    return [refusals.unsupported(name, why, context) for name, why in reasons.items() if why]


def _why_not_unmarked(entry: Entry) -> str | None:
    path = entry.yaml_path
    return RUNS_ANSWERS if path is not None and any(map(path.match, UNMARKED)) else None


def _with_code(found: Entries, local: Entries, context: EvaluationContext) -> list[Problem]:
    code = {name: what_is_code(entry) for name, entry in found.items() if name in local}
    return [refusals.task_code(name, what, context) for name, what in code.items() if what]
