"""What installed packages say that they offer, read from their metadata: nothing is imported.

A package registers its plugin under the entry-point group ``lorasdk``. The entry's name says what can be had,
``loader.sql``, ``evaluator.llm_judge``, ``source.vault`` or ``observer.mlflow``; one entry for each. A name without
such a beginning says nothing: what lies behind it is imported when a recipe names something that nobody else has, and
before the first event, because it may observe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeAlias, get_args

from packaging.utils import canonicalize_name

from lorasdk.plugins.specs import PROJECT

Kind: TypeAlias = Literal["loader", "evaluator", "source"]
"""Kinds of component, as entry points write them."""

OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class PluginChoice:
    """Which plugins were asked for, so that another process can ask for the same."""

    plugins: tuple[object, ...] = ()
    discover: bool = True
    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry point: something that can be had, and is not imported yet."""

    point: EntryPoint
    kind: Kind | Literal["observer"] | None
    """What it is an entry to; None when its name does not say."""
    name: str
    """Of the component or the observer."""

    @classmethod
    def of(cls, point: EntryPoint) -> Entry:
        """Read an entry point's name."""
        beginning, _, rest = point.name.partition(".")
        for kind in (*get_args(Kind), OBSERVER):
            if beginning == kind and rest:
                return cls(point, kind, rest)
        return cls(point, None, point.name)

    @property
    def origin(self) -> str:
        """The distribution and its version; reads the distribution's metadata file."""
        return f"{self.point.dist.name} {self.point.dist.version}" if self.point.dist else self.point.value

    @property
    def summary(self) -> str:
        """The distribution's, in one line; reads the same file."""
        summaries = self.point.dist.metadata.get_all("Summary", []) if self.point.dist else []
        return " ".join(" ".join(summaries).split())

    def is_among(self, names: Collection[str]) -> bool:
        """Whether `names` has this entry: its whole name, what it offers, or its distribution's name."""
        if not names:
            return False
        distribution = canonicalize_name(self.point.dist.name) if self.point.dist else ""
        return bool({self.point.name, self.name} & set(names)) or distribution in {canonicalize_name(n) for n in names}


def installed_entries(choice: PluginChoice) -> tuple[Entry, ...]:
    """The entries that `choice` lets in, in the order of their names."""
    return tuple(_wanted(choice)) if choice.discover else ()


def _wanted(choice: PluginChoice) -> Iterator[Entry]:
    # By their names, because file systems list folders in any order.
    for point in sorted(entry_points(group=PROJECT), key=lambda point: (point.name, point.value)):
        entry = Entry.of(point)
        if not entry.is_among(choice.blocked) and (choice.allowed is None or entry.is_among(choice.allowed)):
            yield entry
