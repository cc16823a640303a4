"""The rows of a tuner's recipe: read once, kept on disk, and compared with those that an adapter was made with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lorasdk.data.examples import Examples
from lorasdk.data.prepare import check_unchanged
from lorasdk.data.sources import read_splits
from lorasdk.errors import DataError
from lorasdk.events import Emit, Notice
from lorasdk.resolving import Resolved

if TYPE_CHECKING:
    from lorasdk.artifacts.passport import Passport


class TunerRows:
    """Safe to use from several threads."""

    def __init__(self, resolved: Resolved, *, handed_over: frozenset[str]) -> None:
        self.handed_over = handed_over
        self._resolved = resolved
        self._known: dict[str, Examples] | None = None
        self._reading = threading.RLock()

    def read(self, emit: Emit, *, between: Callable[[], None] = lambda: None) -> dict[str, Examples]:
        """All splits, read at the first call; `between` is called before each example and may raise.

        Raises:
            DataError: rows cannot be read or used.
            PluginError: nobody offers what the recipe of a saved adapter names.
        """
        missing = self._resolved.missing
        if missing is not None:
            raise type(missing)(*missing.problems)
        with self._reading:
            if self._known is None:
                self._known = self._read(tuple(self._resolved.sources), emit, between)
            return self._known

    def to_compare(self, passport: Passport, emit: Emit) -> Mapping[str, Examples]:
        """All splits, the test rows being those of the passport; these alone where the training rows are gone.

        An adapter is often judged elsewhere than where it was trained.

        Raises:
            DataError: the test rows cannot be read, or are not those of the passport.
        """
        try:
            splits = self.read(emit)
        except DataError as error:
            if "test" not in self._resolved.sources:
                raise
            splits = self._read(("test",), emit, lambda: None)
            left_out = "what needs no model and the overlap with them are left out"
            why = error.problems[0].message
            emit(Notice("evaluation.no-training-rows", f"the training rows cannot be read, so {left_out}: {why}"))
        if "test" in splits and self._known_to(passport):
            check_unchanged("test", expected=passport.data["test"].sha256, actual=splits["test"].sha256)
        return splits

    def _read(self, names: tuple[str, ...], emit: Emit, between: Callable[[], None]) -> dict[str, Examples]:
        recipe = self._resolved.recipe
        return read_splits(
            {name: self._resolved.sources[name] for name in names},
            recipe.data,
            seed=recipe.training.seed,
            emit=emit,
            between=between,
            max_overlap=recipe.evaluation.max_overlap,
        )

    def _known_to(self, passport: Passport) -> bool:
        """Whether the recipe names the test rows that the passport names."""
        named_alike = self._resolved.recipe.dump()["data"].get("test") == passport.recipe["data"].get("test")
        return named_alike and "test" in passport.data and "test" not in self.handed_over
