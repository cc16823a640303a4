"""Several recipes over one base model: whether they name the same one, and the rooms in which they use it in turn.

Light until work begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from lorasdk.builtin.reference import resolve_path
from lorasdk.data.template import BUNDLED
from lorasdk.errors import Problem, RecipeError
from lorasdk.events import Emit
from lorasdk.exports import ExportOrder, ExportResult
from lorasdk.heavy_rooms import Bench, Rooms, TrainingOrder
from lorasdk.recipe.schema import BaseModelSection
from lorasdk.resolving import Resolved
from lorasdk.results import TrainResult

PATHS = ("folder", "gguf")
"""Model sources whose reference is a path, which means another file in another recipe's folder."""


class OneBase:
    """Rooms whose benches use one base model, one after the other; between them it carries no adapter."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._latest: Bench | None = None

    @property
    def real(self) -> bool:
        """As those of the rooms that do the work."""
        return self._rooms.real

    def quiet(self) -> AbstractContextManager[None]:
        """As those of the rooms that do the work."""
        return self._rooms.quiet()

    def open(self, resolved: Resolved, *, trust_remote_code: bool, emit: Emit) -> Bench:
        """A bench that begins with the base model that the latest gave back, if it did."""
        bench = self._rooms.open(resolved, trust_remote_code=trust_remote_code, emit=emit)
        bench.share_base(self._latest)
        self._latest = bench
        return bench

    def train(self, bench: Bench, order: TrainingOrder) -> tuple[TrainResult, bool]:
        """As those of the rooms that do the work."""
        return self._rooms.train(bench, order)

    def export(self, bench: Bench, order: ExportOrder) -> ExportResult:
        """As those of the rooms that do the work."""
        return self._rooms.export(bench, order)

    def take_back(self) -> None:
        """Let go of what the latest bench holds beside the base model."""
        if self._latest is not None:
            with self.quiet():
                self._latest.give_base_back()

    def close(self) -> None:
        """Let go of the base model."""
        latest, self._latest = self._latest, None
        if latest is not None:
            latest.release()


def require_one_base(recipes: Sequence[Resolved]) -> None:
    """Refuse recipes whose base models are not the same, or not held in the same way.

    Raises:
        RecipeError: all differences from the first recipe, each with both places.
    """
    problems = [problem for number in range(1, len(recipes)) for problem in _differences(recipes, number)]
    if problems:
        raise RecipeError(*problems)


def place_in(recipes: Sequence[Resolved], number: int, *location: str) -> str:
    """Where a field stands; a recipe that was built in code is named by its number in the list, from 0."""
    recipe = recipes[number].recipe
    return recipe.place(*location) or f"recipes[{number}] ({recipe.name})"


def _differences(recipes: Sequence[Resolved], number: int) -> Iterator[Problem]:
    first, other = recipes[0], recipes[number]
    for field in BaseModelSection.model_fields:
        if _meaning(first, field) == _meaning(other, field):
            continue
        there = place_in(recipes, 0, "base_model", field)
        yield Problem(
            code="recipe.other-base",
            message="recipes that are trained together have one base model, held in one way",
            place=place_in(recipes, number, "base_model", field),
            field=f"base_model.{field}",
            found=_shown(other, field),
            allowed=f"{_shown(first, field)}, as at {there}",
            fix="give both the same value, or train this recipe by itself",
        )


def _meaning(resolved: Resolved, field: str) -> object:
    """A field's value, so that two spellings of one path are the same and one spelling of two paths is not."""
    section, recipe = resolved.recipe.base_model, resolved.recipe
    if field == "source":
        name, reference = resolved.model_source.name, resolved.request.reference
        return name, resolve_path(reference, recipe.base_dir) if name in PATHS else reference
    if field == "chat_template" and section.chat_template not in ("auto", *BUNDLED):
        return recipe.path(section.chat_template).resolve()
    return section.model_dump()[field]


def _shown(resolved: Resolved, field: str) -> str:
    if field == "token":
        return "no token" if resolved.recipe.base_model.token is None else "a token"
    value = resolved.recipe.base_model.model_dump()[field]
    meaning = _meaning(resolved, field)
    path = meaning[1] if isinstance(meaning, tuple) else meaning
    return f"{value!r} ({path})" if isinstance(path, Path) else repr(value)
