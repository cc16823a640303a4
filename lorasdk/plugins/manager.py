"""The one plugin manager of a `FineTuner`: built-ins, installed packages, then the application's own objects.

A manager belongs to its `FineTuner`; nothing here is shared or remembered between two of them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.contracts import DataLoader, Evaluator, ModelSource
from lorasdk.errors import Problem
from lorasdk.events import Event, Notice
from lorasdk.plugins.components import SHAPES
from lorasdk.plugins.discovery import Entry, PluginChoice
from lorasdk.plugins.inventory import Inventory, take_inventory
from lorasdk.plugins.registry import Registry
from lorasdk.plugins.shelf import Shelf

if TYPE_CHECKING:
    from lorasdk.plugins.shelf import Observer

logger = logging.getLogger(__name__)


class Manager:
    """All components and observers of one `FineTuner`. Installed packages are imported when they are needed."""

    def __init__(self, choice: PluginChoice) -> None:
        """Not for callers: `build_manager` says what is needed."""
        self.choice = choice
        self._notices: deque[Notice] = deque()
        self._shelf = Shelf(choice)
        self._told = 0
        self._observers: list[Observer] | None = None
        self.loaders: Registry[DataLoader] = Registry(SHAPES["loader"], self._shelf, self._notify)
        self.evaluators: Registry[Evaluator] = Registry(SHAPES["evaluator"], self._shelf, self._notify)
        self.sources: Registry[ModelSource] = Registry(SHAPES["source"], self._shelf, self._notify)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What installed packages say that they offer."""
        return self._shelf.entries

    @property
    def failures(self) -> tuple[Problem, ...]:
        """What is wrong with installed plugins; imports every one of them."""
        for registry in (self.loaders, self.evaluators, self.sources):
            registry.everything()
        self._shelf.observers()
        return tuple(self._shelf.problems)

    def inventory(self) -> Inventory:
        """Everything that is offered and by whom, for listings; imports every installed plugin."""
        return take_inventory(self._shelf, (self.loaders, self.evaluators, self.sources))

    def observers(self) -> tuple[str, ...]:
        """Names of what hears events, in their order; imports them."""
        return tuple(observer.name for observer in self.listening())

    def announce(self, event: Event, run_dir: Path | None = None) -> None:
        """Hand `event` to each observing plugin; one that raises is logged and the others still hear it.

        Args:
            event: what happened.
            run_dir: folder of the run in which it happened; None outside of one.
        """
        for observer in self.listening():
            try:
                observer.hear(event, run_dir)
            except Exception:  # an observer must not be able to stop the work it observes
                logger.exception("plugin %s failed in on_event", observer.name)

    def news(self) -> list[Notice]:
        """What the host should know of its plugins and has not been told: replacements, and plugins that failed."""
        with self._shelf.lock:
            fresh, self._told = self._shelf.problems[self._told :], len(self._shelf.problems)
            told = [*self._notices, *(Notice(problem.code, _in_a_sentence(problem)) for problem in fresh)]
            self._notices.clear()
            return told

    def listening(self) -> list[Observer]:
        """What hears events, in the order in which it does; imports installed observers."""
        if self._observers is None:
            self._observers = self._shelf.observers()
        return self._observers

    def _notify(self, code: str, message: str) -> None:
        self._notices.append(Notice(code, message))


def build_manager(
    plugins: Iterable[object] = (),
    *,
    discover: bool = True,
    blocked: Iterable[str] = (),
    allowed: Iterable[str] | None = None,
) -> Manager:
    """Collect what is offered, in the order built-ins, installed packages, `plugins`.

    Installed packages are found by their metadata and imported when they are needed: a component's when it is asked
    for, observers with the first event.

    Args:
        plugins: objects with hook implementations; only these may replace a component of the same name.
        discover: also find the packages registered under the entry-point group ``lorasdk``.
        blocked: what is never imported: names of distributions, of entry points, or of what these offer.
        allowed: when given, the only ones that are imported, named in the same way.

    Raises:
        PluginError: an object in `plugins` is no plugin, or two of them offer the same name.
    """
    return Manager(
        PluginChoice(tuple(plugins), discover, frozenset(blocked), None if allowed is None else frozenset(allowed))
    )


def _in_a_sentence(problem: Problem) -> str:
    return f"{problem.place}: {problem.message}" if problem.place else problem.message
