"""The plugins of one manager: those that are registered, and installed ones that wait until somebody needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pluggy

from lorasdk.errors import PluginError, Problem
from lorasdk.plugins.discovery import OBSERVER, Entry, PluginChoice, installed_entries
from lorasdk.plugins.registration import register
from lorasdk.plugins.specs import PROJECT, Hooks

BUILTIN, APPLICATION = "lorasdk", "application"
"""Origins of what comes with the package, and of what the host handed over."""


@dataclass(frozen=True, slots=True)
class Observer:
    """A registered implementation of ``on_event``."""

    name: str
    function: Callable[..., object]
    arguments: tuple[str, ...]
    """Those that it takes of the hook's."""

    def hear(self, event: object, run_dir: Path | None) -> None:
        """Call it with those of the hook's arguments that it takes; whatever it raises goes through."""
        given = {"event": event, "run_dir": run_dir}
        self.function(**{name: given[name] for name in self.arguments})


class Shelf:
    """Safe to use from several threads; what is imported once stays registered."""

    def __init__(self, choice: PluginChoice) -> None:
        """Register what is built in and what the host handed over; installed packages wait.

        Raises:
            PluginError: an object of the host's is no plugin.
        """
        self.lock = threading.RLock()
        self.entries = installed_entries(choice)
        self.problems: list[Problem] = []
        self._hooks = pluggy.PluginManager(PROJECT)
        self._hooks.add_hookspecs(Hooks)
        self._loaded: dict[Entry, str | PluginError] = {}
        # By name, as pytest registers its own plugins: this room must not import the rooms above it.
        self.builtin = (register(self._hooks, import_module("lorasdk.builtin"), "lorasdk.builtin"),)
        self.application = tuple(self._register_application(plugin) for plugin in choice.plugins)

    def load(self, entry: Entry) -> str:
        """Import an entry's plugin, at the first call; the name it is registered by.

        Raises:
            PluginError: it cannot be used.
        """
        with self.lock:
            if entry not in self._loaded:
                self._loaded[entry] = self._import(entry)
            outcome = self._loaded[entry]
        if isinstance(outcome, PluginError):
            raise outcome
        return outcome

    def loadable(self, entries: Iterable[Entry]) -> list[tuple[Entry, str]]:
        """Import each of `entries`; those that can be used, with the names they are registered by."""
        found = []
        for entry in entries:
            with suppress(PluginError):  # it is among the problems
                found.append((entry, self.load(entry)))
        return found

    @property
    def undeclared(self) -> list[Entry]:
        """Entries that do not say what they offer."""
        return [entry for entry in self.entries if entry.kind is None]

    def offered(self, plugin: str, hook: str) -> Iterable[object]:
        """What a registered plugin's hook gives; whatever the plugin raises goes through."""
        for implementation in self._implementations(hook):
            if implementation.plugin_name == plugin:
                yield from implementation.function()

    def implements(self, plugin: str, hook: str) -> bool:
        """Whether a registered plugin has the hook."""
        return any(implementation.plugin_name == plugin for implementation in self._implementations(hook))

    def observers(self) -> list[Observer]:
        """Installed observers, imported at the first call, then the host's."""
        with self.lock:
            declared = [entry for entry in self.entries if entry.kind == OBSERVER]
            installed = {name for _, name in self.loadable([*declared, *self.undeclared])}
            found = self._implementations("on_event")
            ordered = [[i for i in found if i.plugin_name in names] for names in (installed, self.application)]
            return [Observer(i.plugin_name, i.function, i.argnames) for group in ordered for i in group]

    def report(self, problem: Problem) -> None:
        """Keep a problem for whoever misses what the plugin would have offered."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _import(self, entry: Entry) -> str | PluginError:
        try:
            plugin = entry.point.load()
            known = self._hooks.get_name(plugin)
            return known if known is not None else register(self._hooks, plugin, f"{entry.origin}: {entry.point.value}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - any fault of a package is told, and the rest still load
            problem = failed(entry.origin, error)
            self.report(problem)
            refusal = PluginError(problem)
            refusal.__cause__ = error
            return refusal

    def _register_application(self, plugin: object) -> str:
        try:
            return register(self._hooks, plugin, None)
        except Exception as error:
            raise PluginError(failed(repr(plugin), error)) from error

    def _implementations(self, hook: str) -> list[Any]:
        caller: pluggy.HookCaller = getattr(self._hooks.hook, hook)
        return caller.get_hookimpls()


def failed(origin: str, error: BaseException) -> Problem:
    """A plugin that cannot be used."""
    return Problem(
        code="plugin.failed-to-load",
        message=f"{type(error).__name__}: {error}",
        place=origin,
        fix="repair or uninstall the plugin, or block it with blocked=[…]",
    )
