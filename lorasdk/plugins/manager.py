"""Builds the one plugin manager of a `FineTuner`: built-ins, installed packages, then the application's own objects.

A manager belongs to its `FineTuner`; nothing here is shared or remembered between two of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from lorasdk.contracts import DataLoader, Evaluator, ModelSource
from lorasdk.errors import PluginError, Problem
from lorasdk.plugins.specs import PROJECT, Hooks

if TYPE_CHECKING:
    from lorasdk.events import Event

BUILTIN = "lorasdk.builtin"

logger = logging.getLogger(__name__)

Component = TypeVar("Component", DataLoader, Evaluator, ModelSource)


@dataclass(frozen=True, slots=True)
class Offer(Generic[Component]):
    """A registered component and who offers it."""

    component: Component
    origin: str


@dataclass(frozen=True)
class Registry(Generic[Component]):
    """Components of one kind by name."""

    kind: str
    offers: Mapping[str, Offer[Component]]
    failures: tuple[Problem, ...] = ()

    def find(self, name: str, *, place: str = "", field: str = "") -> Component:
        """Give the component called `name`; raise `PluginError` naming the nearest one and plugins that failed."""
        if name in self.offers:
            return self.offers[name].component
        near = get_close_matches(name, self.offers, n=1)
        failed = "; ".join(f"{problem.place}: {problem.message}" for problem in self.failures)
        fix = f"did you mean {near[0]!r}?" if near else "check the spelling or install the plugin that offers it"
        if failed:
            fix += f" A plugin failed to load: {failed}"
        raise PluginError(
            Problem(
                code="plugin.unknown-component",
                message=f"no {self.kind} is called {name!r}",
                place=place,
                field=field,
                found=repr(name),
                allowed=", ".join(sorted(self.offers)),
                fix=fix,
            )
        )


@dataclass(frozen=True, slots=True)
class PluginChoice:
    """Which plugins were asked for, so that another process can ask for the same."""

    plugins: tuple[object, ...] = ()
    discover: bool = True
    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None


@dataclass(frozen=True)
class Manager:
    """All components and observers of one `FineTuner`."""

    choice: PluginChoice
    loaders: Registry[DataLoader]
    evaluators: Registry[Evaluator]
    sources: Registry[ModelSource]
    failures: tuple[Problem, ...]
    _hooks: pluggy.PluginManager = field(repr=False)

    def announce(self, event: Event) -> None:
        """Hand `event` to each observing plugin; one that raises is logged and the others still hear it."""
        for hook in self._hooks.hook.on_event.get_hookimpls():
            try:
                hook.function(event=event)
            except Exception:  # an observer must not be able to stop the work it observes
                logger.exception("plugin %s failed in on_event", hook.plugin_name)


def build_manager(
    plugins: Iterable[object] = (),
    *,
    discover: bool = True,
    blocked: Iterable[str] = (),
    allowed: Iterable[str] | None = None,
) -> Manager:
    """Collect what is offered, in the order built-ins, installed packages, `plugins`.

    Args:
        plugins: objects with hook implementations; only these may replace a component of the same name.
        discover: also load the packages registered under the entry-point group ``lorasdk``.
        blocked: entry-point names that are never imported.
        allowed: when given, the only entry-point names that are imported.

    Raises:
        PluginError: an object in `plugins` is no plugin, or two packages offer the same name.
    """
    choice = PluginChoice(tuple(plugins), discover, frozenset(blocked), None if allowed is None else frozenset(allowed))
    hooks = pluggy.PluginManager(PROJECT)
    hooks.add_hookspecs(Hooks)
    origins = {_register_builtin(hooks): "lorasdk"}
    failures: list[Problem] = []
    if discover:
        for entry in _entry_points(choice):
            try:
                origins[_register(hooks, entry.load(), entry.name)] = _distribution(entry)
            except Exception as error:  # noqa: BLE001 - any fault of a package is reported, and the rest still load
                failures.append(_failure(_distribution(entry), error))
    for plugin in choice.plugins:
        try:
            origins[_register(hooks, plugin, None)] = "application"
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(_failure(repr(plugin), error)) from error
    return Manager(
        choice=choice,
        loaders=_collect("data loader", hooks.hook.data_loaders, origins, failures),
        evaluators=_collect("evaluator", hooks.hook.evaluators, origins, failures),
        sources=_collect("model source", hooks.hook.model_sources, origins, failures),
        failures=tuple(failures),
        _hooks=hooks,
    )


def _register_builtin(hooks: pluggy.PluginManager) -> str:
    # By name, as pytest registers its own plugins: this room must not import the rooms above it.
    return _register(hooks, import_module(BUILTIN), BUILTIN)


def _entry_points(choice: PluginChoice) -> Sequence[EntryPoint]:
    found = [entry for entry in entry_points(group=PROJECT) if entry.name not in choice.blocked]
    return [entry for entry in found if choice.allowed is None or entry.name in choice.allowed]


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _register(hooks: pluggy.PluginManager, plugin: object, name: str | None) -> str:
    registered = hooks.register(plugin, name=name)
    if registered is None:
        raise ValueError(f"plugin {name!r} is registered twice")
    callers = hooks.get_hookcallers(plugin) or []
    unknown = [caller.name for caller in callers if not caller.has_spec()]
    if callers and not unknown:
        return registered
    hooks.unregister(plugin)
    if not unknown:
        raise ValueError(f"implements no hook; mark one of {', '.join(_hook_names())} with @lorasdk.hookimpl")
    near = get_close_matches(unknown[0], _hook_names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"hooks are {', '.join(_hook_names())}"
    raise ValueError(f"implements {unknown[0]!r}, which is no hook; {hint}")


def _hook_names() -> list[str]:
    return [name for name in vars(Hooks) if not name.startswith("_")]


def _failure(origin: str, error: BaseException) -> Problem:
    return Problem(
        code="plugin.failed-to-load",
        message=f"{type(error).__name__}: {error}",
        place=origin,
        fix="repair or uninstall the plugin, or block it with blocked=[…]",
    )


def _collect(
    kind: str,
    hook: pluggy.HookCaller,
    origins: Mapping[str, str],
    failures: list[Problem],
) -> Registry[Any]:
    offers: dict[str, Offer[Any]] = {}
    for implementation in hook.get_hookimpls():
        origin = origins[implementation.plugin_name]
        components: Iterable[Any] = implementation.function()  # type: ignore[assignment]  # pluggy knows no types
        for component in components:
            previous = offers.get(component.name)
            if previous is not None and origin != "application":
                raise PluginError(_offered_twice(kind, component.name, previous.origin, origin))
            offers[component.name] = Offer(component, origin)
    return Registry(kind, offers, tuple(failures))


def _offered_twice(kind: str, name: str, first: str, second: str) -> Problem:
    return Problem(
        code="plugin.name-offered-twice",
        message=f"two plugins offer a {kind} called {name!r}: {first} and {second}",
        fix="uninstall one of them or block it with blocked=[…]",
    )
