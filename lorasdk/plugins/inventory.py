"""Everything that is offered and by whom, what is promised in vain, and what is offered unsaid: for listings.

Taking an inventory imports every installed plugin; work never needs one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lorasdk.errors import PluginError, Problem
from lorasdk.plugins.discovery import OBSERVER, Entry, Kind
from lorasdk.plugins.registry import Registry
from lorasdk.plugins.shelf import APPLICATION, Shelf

Listable: TypeAlias = Kind | Literal["observer"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A component or an observer."""

    kind: Listable
    """What it is."""
    name: str
    """What a recipe calls a component; an observer's is that of its entry point."""
    origin: str
    """``lorasdk``, ``application``, or a distribution and its version."""
    summary: str = ""
    """One line: a component's own, the distribution's for an observer."""
    usable: bool = True
    """Whether it can be had; False for what an entry point promises in vain."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is."""

    offers: tuple[Listed, ...]
    """By kind, then by name."""
    problems: tuple[Problem, ...]
    """What failed, and why; the place is the distribution."""
    hints: tuple[Problem, ...]
    """What a package's author should write differently; nothing fails for it."""


def take_inventory(shelf: Shelf, registries: Sequence[Registry[Any]]) -> Inventory:
    """Import everything that is installed, and look at what it offers."""
    with shelf.lock:
        usable = [*_components(registries), *_observers(shelf)]
        listed = {(offer.kind, offer.name, offer.origin): offer for offer in [*_promises(shelf.entries), *usable]}
        hints = tuple(_hints(shelf, registries))
        order = [*(registry.kind for registry in registries), OBSERVER]
        offers = sorted(listed.values(), key=lambda offer: (order.index(offer.kind), offer.name, offer.origin))
        return Inventory(tuple(offers), tuple(shelf.problems), hints)


def _components(registries: Sequence[Registry[Any]]) -> Iterator[Listed]:
    for registry in registries:
        for name, offer in registry.everything().items():
            yield Listed(registry.kind, name, offer.origin, offer.component.summary)


def _observers(shelf: Shelf) -> Iterator[Listed]:
    hearing = {observer.name for observer in shelf.observers()}
    for entry, plugin in shelf.loadable(entry for entry in shelf.entries if entry.kind in {OBSERVER, None}):
        if plugin in hearing:
            yield Listed("observer", entry.name, entry.origin, entry.summary)
    yield from (Listed("observer", plugin, APPLICATION) for plugin in shelf.application if plugin in hearing)


def _promises(entries: Iterable[Entry]) -> Iterator[Listed]:
    for entry in entries:
        if entry.kind is not None:
            yield Listed(entry.kind, entry.name, entry.origin, usable=False)


def _hints(shelf: Shelf, registries: Sequence[Registry[Any]]) -> Iterator[Problem]:
    declared = {(entry.origin, entry.point.name) for entry in shelf.entries}
    loaded = shelf.loadable(shelf.entries)
    observing = {plugin for entry, plugin in loaded if entry.kind == OBSERVER}
    looked_at: set[tuple[str, str]] = set()
    for entry, plugin in loaded:
        offered = _offered(shelf, registries, plugin, entry)
        if shelf.implements(plugin, "on_event") and (entry.kind == OBSERVER or plugin not in observing):
            name = entry.point.name if entry.kind == OBSERVER else f"{OBSERVER}.{entry.name}"
            offered[name] = "an on_event"
        if entry.kind == OBSERVER and entry.point.name not in offered:
            yield _hears_nothing(entry)
        unsaid = [name for name in offered if (entry.origin, name) not in declared]
        if entry.kind is None:
            yield _says_nothing(entry, unsaid)
        elif unsaid and (plugin, entry.origin) not in looked_at:
            yield _offers_more(entry, {name: what for name, what in offered.items() if name in unsaid})
        looked_at.add((plugin, entry.origin))


def _offered(shelf: Shelf, registries: Sequence[Registry[Any]], plugin: str, entry: Entry) -> dict[str, str]:
    """Names of the entry points that the components of `plugin` could have, and what they lead to in words."""
    found: dict[str, str] = {}
    for registry in registries:
        try:
            names = registry.offered_by(plugin, entry.origin)
        except PluginError as error:
            shelf.report(error.problems[0])
        else:
            found |= {f"{registry.kind}.{name}": f"the {registry.title} {name!r}" for name in names}
    return found


def _lines(entry: Entry, names: Iterable[str]) -> str:
    return ", ".join(f'"{name}" = "{entry.point.value}"' for name in names)


def _says_nothing(entry: Entry, unsaid: Sequence[str]) -> Problem:
    return Problem(
        code="plugin.undeclared",
        message=f"the entry point {entry.point.name!r} does not say what it offers, so it is imported for every name "
        "that nobody else has, and before the first event",
        place=entry.origin,
        allowed="KIND.NAME with the kind loader, evaluator, source or observer",
        fix=f"write {_lines(entry, unsaid)} instead" if unsaid else "remove it: other entry points say what it offers",
    )


def _offers_more(entry: Entry, unsaid: Mapping[str, str]) -> Problem:
    return Problem(
        code="plugin.undeclared-offer",
        message=f"it also has {' and '.join(unsaid.values())}, which no entry point says, so nobody gets it",
        place=entry.origin,
        fix=f"add {_lines(entry, unsaid)} under [project.entry-points.lorasdk]",
    )


def _hears_nothing(entry: Entry) -> Problem:
    return Problem(
        code="plugin.hears-nothing",
        message=f"its entry point promises {entry.point.name}, but what lies behind it has no on_event",
        place=entry.origin,
        fix="remove the entry point, or implement on_event(event, run_dir) and mark it with @lorasdk.hookimpl",
    )
