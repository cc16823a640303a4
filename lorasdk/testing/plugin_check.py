"""Runs everything that a plugin must honour, and says all that fails."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lorasdk.errors import PluginError
from lorasdk.plugins import Manager, Registry, build_manager
from lorasdk.plugins.discovery import Kind
from lorasdk.plugins.shelf import APPLICATION
from lorasdk.testing.component_checks import check_evaluator, check_loader, check_source
from lorasdk.testing.event_samples import one_of_each
from lorasdk.testing.findings import Findings
from lorasdk.testing.host_state import changes, host_state
from lorasdk.testing.import_checks import check_entries, check_import, entries_of

NONE: Mapping[str, Mapping[str, object]] = MappingProxyType({})


def check_plugin(plugin: object, *, options: Mapping[str, Mapping[str, object]] = NONE) -> None:
    """Try a plugin out: put this into the tests of every package that has one.

    Its hooks are known and take what they are given; options are closed and documented, and secrets declared; rows are
    rows, in a stable order; scores are one finite number per example, the same each time; whatever goes wrong comes
    out as one of lorasdk's errors; an observer lets every event pass, also one that it cannot know; nothing is
    printed, and nothing of the host's is changed. Of an installed plugin: importing it is cheap, and its entry points
    say what it offers.

    Args:
        plugin: what an entry point leads to, or what an application hands over.
        options: by component, options that work in a test. A component whose options all have defaults needs none. A
            model source may be given a ``reference`` to a model that is there.

    Raises:
        PluginError: one problem for each rule that is broken.

    Example:
        >>> import lorasdk
        >>> from lorasdk.testing import check_plugin
        >>> @lorasdk.evaluator
        ... def brevity(answer: str) -> bool:
        ...     '''1 for short answers.'''
        ...     return len(answer) < 20
        >>> check_plugin(brevity)
    """
    findings = Findings(_called(plugin))
    manager = build_manager([plugin], discover=False)
    with _watched(findings), tempfile.TemporaryDirectory() as folder:
        offered = _check_components(manager, options, Path(folder), findings)
        _check_observer(manager, Path(folder), findings)
    entries = entries_of(plugin)
    if entries:
        check_entries(entries, offered, observes=bool(manager.listening()), findings=findings)
        check_import(entries[0].point.module, findings)
    unknown = sorted(set(options) - {name for names in offered.values() for name in names})
    if unknown:
        findings.add(f"options are given for {', '.join(unknown)}, which it does not offer", fix="correct the name")
    if findings.problems:
        raise PluginError(*findings.problems)


def _check_components(
    manager: Manager, options: Mapping[str, Mapping[str, object]], folder: Path, findings: Findings
) -> dict[Kind, list[str]]:
    loaders, evaluators, sources = (_own(each) for each in (manager.loaders, manager.evaluators, manager.sources))
    for name in loaders:
        check_loader(manager.loaders.find(name), options.get(name), folder, findings.at(f"data loader {name}"))
    for name in evaluators:
        check_evaluator(manager.evaluators.find(name), options.get(name), folder, findings.at(f"evaluator {name}"))
    for name in sources:
        check_source(manager.sources.find(name), options.get(name), folder, findings.at(f"model source {name}"))
    return {"loader": loaders, "evaluator": evaluators, "source": sources}


def _own(registry: Registry[Any]) -> list[str]:
    return [name for name, offer in registry.everything().items() if offer.origin == APPLICATION]


def _check_observer(manager: Manager, folder: Path, findings: Findings) -> None:
    for event in one_of_each():
        for observer in manager.listening():
            findings.attempt(f"on_event of {type(event).__name__}", partial(observer.hear, event, folder))


@contextmanager
def _watched(findings: Findings) -> Iterator[None]:
    before = host_state()
    said, complained = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(complained):
        inside = {**before, "standard streams": host_state()["standard streams"]}
        yield
        changed = changes(inside)
    for name in changed:
        findings.add(f"it changed {name}", fix="leave the host's program as it was, also after an error")
    if said.getvalue() or complained.getvalue():
        printed = (said.getvalue() + complained.getvalue())[:80]
        findings.add("it prints", found=repr(printed), fix="use a logger, or context.notify")


def _called(plugin: object) -> str:
    return f"plugin {getattr(plugin, '__name__', type(plugin).__name__)}"
