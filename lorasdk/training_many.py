"""Trains the adapters of several recipes over one base model that is loaded once. Light until work begins."""

from __future__ import annotations

import gc
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from lorasdk.announcing import OnEvent
from lorasdk.errors import LorasdkError, Problem, RecipeError
from lorasdk.heavy_rooms import Rooms
from lorasdk.one_base import OneBase, place_in, require_one_base
from lorasdk.opening import HEAVY, open_recipe
from lorasdk.plugins import Manager
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.loading import RecipeSource
from lorasdk.recipe.overrides import Overrides
from lorasdk.resolving import Resolved
from lorasdk.results import TrainResult
from lorasdk.stopping import StopToken
from lorasdk.train_options import TrainOptions
from lorasdk.tuner_state import TunerState

OnError: TypeAlias = Literal["raise", "continue"]
"""What the failure of one recipe means for those after it."""
ResumeMany: TypeAlias = Literal["never", "auto", "must"]
"""As `Resume`; a path would name one run."""

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How the training of one recipe of several ended."""

    index: int
    """The recipe's place in the list, from 0."""
    recipe: Recipe
    """The recipe, overrides applied."""
    ended: TrainResult | Exception
    """The result, or why there is none."""

    @property
    def error(self) -> Exception | None:
        """Why there is no result; None when there is one."""
        return self.ended if isinstance(self.ended, Exception) else None

    def result(self) -> TrainResult:
        """The result.

        Raises:
            Exception: the one that ended the training; a `LorasdkError` unless a plugin's or a library's code failed.
        """
        if isinstance(self.ended, Exception):
            raise self.ended
        return self.ended


@dataclass(frozen=True)
class ManyOrder:
    """What is wanted of all trainings."""

    on_event: OnEvent | None
    stop: StopToken
    options: TrainOptions
    on_error: OnError


def train_many(
    recipes: Iterable[RecipeSource],
    manager: Manager,
    order: ManyOrder,
    *,
    overrides: Overrides,
    trust_remote_code: bool,
    rooms: Rooms = HEAVY,
) -> Generator[RunOutcome, None, None]:
    """Read all recipes and find what they name; then train one after the other, as outcomes are asked for.

    Raises:
        LorasdkError: all problems of the first gate that is not passed: texts and values, components and files, base
            models that differ, runs that could not be told apart.
    """
    shared = OneBase(rooms)

    def opened(recipe: Recipe) -> TunerState:
        return open_recipe(recipe, manager, rows={}, trust_remote_code=trust_remote_code, rooms=shared)

    loaded = _each(list(recipes), lambda source: load_recipe(source, overrides=overrides))
    states = _each(loaded, opened)
    resolved = [state.resolved for state in states]
    require_one_base(resolved)
    if order.options.resume != "never":
        _require_own_folders(resolved)
    return _in_turn(shared, deque(enumerate(states)), order)


def _in_turn(
    shared: OneBase, waiting: deque[tuple[int, TunerState]], order: ManyOrder
) -> Generator[RunOutcome, None, None]:
    """One training after the other; whoever closes the generator, or leaves it, has let go of everything."""
    total = len(waiting)
    try:
        while waiting and not order.stop.stopped:
            outcome = _outcome(*waiting.popleft(), order)
            shared.take_back()
            gc.collect()
            if outcome.error is not None and order.on_error == "raise":
                outcome.error.add_note(f"in recipe {outcome.index + 1} of {total}: {outcome.recipe.name}")
                raise outcome.error
            yield outcome
    finally:
        shared.close()
        gc.collect()


def _outcome(index: int, state: TunerState, order: ManyOrder) -> RunOutcome:
    recipe = state.resolved.recipe
    try:
        result = state.train(state.emitter(order.on_event), order.stop, order.options)
    except Exception as error:  # noqa: BLE001 - the caller gets it, at once or with the recipe it belongs to
        _forget_locals(error)
        return RunOutcome(index, recipe, error)
    return RunOutcome(index, recipe, result)


def _forget_locals(error: BaseException | None) -> None:
    """A traceback holds what its functions had in hand, models too; where it went wrong stays readable."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _each(items: Sequence[Item], work: Callable[[Item], Made]) -> list[Made]:
    """Do the same with every recipe, and raise the problems of all together."""
    made: list[Made] = []
    failed: list[LorasdkError] = []
    problems: list[Problem] = []
    for number, item in enumerate(items):
        try:
            made.append(work(item))
        except LorasdkError as error:
            failed.append(error)
            # A recipe that was built in code has no place: its number in the list names it.
            problems += [replace(each, place=each.place or f"recipes[{number}]") for each in error.problems]
    if failed:
        raise type(failed[0])(*problems) from failed[0]
    return made


def _require_own_folders(recipes: Sequence[Resolved]) -> None:
    """Refuse to resume where two recipes share a folder of runs: which of them a run belongs to cannot be told.

    Raises:
        RecipeError: each recipe whose folder another one before it has.
    """
    folders = [each.recipe.path(each.recipe.output_dir).resolve() / each.recipe.name for each in recipes]
    problems = [
        Problem(
            code="recipe.same-runs",
            message="two recipes that are resumed together have one folder of runs",
            place=place_in(recipes, number, "name"),
            field="name",
            found=str(folder),
            allowed=f"another folder than that of the recipe at {place_in(recipes, folders.index(folder), 'name')}",
            fix="give each recipe a name or an output_dir of its own",
        )
        for number, folder in enumerate(folders)
        if folders.index(folder) != number
    ]
    if problems:
        raise RecipeError(*problems)
