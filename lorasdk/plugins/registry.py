"""Components of one kind by name: built in, handed over, and installed ones, imported when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Generic, TypeVar

from lorasdk.contracts import DataLoader, Evaluator, ModelSource
from lorasdk.errors import PluginError, Problem
from lorasdk.plugins.components import Shape, faults
from lorasdk.plugins.discovery import Entry, Kind
from lorasdk.plugins.registration import UnusablePluginError
from lorasdk.plugins.shelf import APPLICATION, BUILTIN, Shelf, failed

Component = TypeVar("Component", DataLoader, Evaluator, ModelSource)


@dataclass(frozen=True, slots=True)
class Offer(Generic[Component]):
    """A registered component and who offers it."""

    component: Component
    origin: str
    """``lorasdk``, ``application``, or a distribution and its version."""


class Registry(Generic[Component]):
    """What a recipe can name.

    An application's component stands before an installed one of the same name; two installed ones of one name are both
    out of reach, and the error names them.
    """

    def __init__(self, shape: Shape, shelf: Shelf, notify: Callable[[str, str], None]) -> None:
        """Collect what is registered; what is installed stays where it is.

        Raises:
            PluginError: what the host handed over is no component, or two have one name.
        """
        self.kind: Kind = shape.kind
        self.title = shape.title
        self._shape, self._shelf, self._notify = shape, shelf, notify
        self._offers: dict[str, Offer[Component]] = {}
        self._refused: dict[str, PluginError] = {}
        self._seen: set[str] = set()
        self._waiting: dict[str, Entry] = {}
        for names, origin in ((shelf.application, APPLICATION), (shelf.builtin, BUILTIN)):
            for plugin in names:
                self._add_all(plugin, origin)
        for entry in shelf.entries:
            if entry.kind == shape.kind:
                self._wait(entry)

    @property
    def names(self) -> frozenset[str]:
        """Names that can be asked for without importing what does not say what it offers."""
        return frozenset({*self._offers, *self._waiting, *self._refused})

    def find(self, name: str, *, place: str = "", field: str = "") -> Component:
        """Give the component called `name`, importing the package that offers it if need be.

        Raises:
            PluginError: nobody offers it (the message has the nearest name, and the plugins that failed), two packages
                do, or the one that does cannot be used.
        """
        with self._shelf.lock:
            if name not in self.names:
                self._add_undeclared()
            if name in self._waiting:
                self._fetch(name)
            if name in self._refused:
                raise _placed(self._refused[name], place, field) from self._refused[name].__cause__
            if name in self._offers:
                return self._offers[name].component
            raise PluginError(self._unknown(name, place, field))

    def everything(self) -> Mapping[str, Offer[Component]]:
        """All that can be used, by name; imports every installed plugin of this kind."""
        with self._shelf.lock:
            self._add_undeclared()
            for name in sorted(self._waiting):
                self._fetch(name)
            return {name: self._offers[name] for name in sorted(self._offers)}

    def offered_by(self, plugin: str, origin: str) -> dict[str, Component]:
        """What a registered plugin has of this kind, by name, whether or not an entry point says so.

        Raises:
            PluginError: its hook fails, or gives something else than components.
        """
        try:
            return dict(self._checked(self._shelf.offered(plugin, self._shape.hook)))
        except (Exception, SystemExit) as error:
            raise PluginError(failed(plugin if origin == APPLICATION else origin, error)) from error

    def _wait(self, entry: Entry) -> None:
        known = self._offers.get(entry.name)
        if entry.name in self._refused:
            self._clash(entry.name, "others", entry.origin)
        elif known is not None and known.origin == APPLICATION:
            self._replaced(entry.name, entry.origin)
        elif known is not None or entry.name in self._waiting:
            first = known.origin if known is not None else self._waiting.pop(entry.name).origin
            self._offers.pop(entry.name, None)
            self._clash(entry.name, first, entry.origin)
        else:
            self._waiting[entry.name] = entry

    def _fetch(self, name: str) -> None:
        entry = self._waiting.pop(name)
        try:
            found = self.offered_by(self._shelf.load(entry), entry.origin)
            self._offers[name] = Offer(_promised(entry, found), entry.origin)
        except PluginError as error:
            self._shelf.report(error.problems[0])
            self._refused[name] = error

    def _add_undeclared(self) -> None:
        for entry, plugin in self._shelf.loadable(self._shelf.undeclared):
            try:
                self._add_all(plugin, entry.origin)
            except PluginError as error:
                self._shelf.report(error.problems[0])

    def _add_all(self, plugin: str, origin: str) -> None:
        if plugin not in self._seen:
            self._seen.add(plugin)
            for name, component in self.offered_by(plugin, origin).items():
                self._add(name, Offer(component, origin))

    def _add(self, name: str, offer: Offer[Component]) -> None:
        known = self._offers[name].origin if name in self._offers else None
        waiting = self._waiting[name].origin if name in self._waiting else None
        if offer.origin in {known, waiting} - {APPLICATION}:
            return  # the same package says it in two ways
        if name in self._refused:
            self._clash(name, "others", offer.origin)
        elif waiting is not None:
            self._clash(name, self._waiting.pop(name).origin, offer.origin)
        elif known is None:
            self._offers[name] = offer
        elif known != APPLICATION:
            del self._offers[name]
            self._clash(name, known, offer.origin)
        elif offer.origin == APPLICATION:
            raise PluginError(self._offered_twice(name, "one object of the application", "another"))
        else:
            self._replaced(name, offer.origin)

    def _checked(self, components: Iterable[object]) -> Iterator[tuple[str, Component]]:
        for component in components:
            wrong = faults(component, self._shape)
            if wrong:
                raise UnusablePluginError(f"{component!r} is no {self.title}: {'; '.join(wrong)}")
            known: Component = component  # type: ignore[assignment]  # it has everything that makes it one
            yield known.name, known

    def _replaced(self, name: str, origin: str) -> None:
        self._notify("plugin.replaced", f"the application's {self.title} {name!r} stands in for that of {origin}")

    def _clash(self, name: str, first: str, second: str) -> None:
        problem = self._offered_twice(name, first, second)
        self._shelf.report(problem)
        self._refused.setdefault(name, PluginError(problem))

    def _offered_twice(self, name: str, first: str, second: str) -> Problem:
        return Problem(
            code="plugin.name-offered-twice",
            message=f"two plugins offer a {self.title} called {name!r}: {first} and {second}",
            fix="uninstall one of them or block it with blocked=[…]",
        )

    def _unknown(self, name: str, place: str, field: str) -> Problem:
        near = get_close_matches(name, self.names, n=1)
        fix = f"did you mean {near[0]!r}?" if near else "check the spelling or install the plugin that offers it"
        failures = "; ".join(f"{problem.place}: {problem.message}" for problem in self._shelf.problems)
        return Problem(
            code="plugin.unknown-component",
            message=f"no {self.title} is called {name!r}",
            place=place,
            field=field,
            found=repr(name),
            allowed=", ".join(sorted(self.names)),
            fix=f"{fix} A plugin failed to load: {failures}" if failures else fix,
        )


def _promised(entry: Entry, found: Mapping[str, Component]) -> Component:
    if entry.name in found:
        return found[entry.name]
    offered = ", ".join(sorted(found)) or "nothing"
    broken = f"its entry point promises {entry.point.name}, but what it offers is {offered}"
    raise PluginError(failed(entry.origin, UnusablePluginError(broken)))


def _placed(refusal: PluginError, place: str, field: str) -> PluginError:
    """The same where the recipe names the component; the distribution moves into the message."""
    (problem,) = refusal.problems
    if not place:
        return PluginError(replace(problem, field=field))
    origin = f"{problem.place}: " if problem.place else ""
    return PluginError(replace(problem, place=place, field=field, message=origin + problem.message))
