"""Trains the adapters of several recipes over one base model that is loaded once. Light until work begins."""

from __future__ import annotations

import gc
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from lorasdk.announcing import OnEvent
from lorasdk.errors import LorasdkError, Problem, RecipeError
from lorasdk.heavy_rooms import Rooms
from lorasdk.plugins import Manager, build_manager
from lorasdk.plugins.functions import RowsFunction, ScoreFunction, with_functions
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.loading import RecipeSource
from lorasdk.recipe.overrides import Overrides
from lorasdk.resolving import Resolved
from lorasdk.results import TrainResult
from lorasdk.stopping import StopToken
from lorasdk.train_options import TrainOptions
from lorasdk.tuner.one_base import OneBase, place_in, require_one_base
from lorasdk.tuner.opening import HEAVY, open_recipe
from lorasdk.tuner.state import TunerState
from lorasdk.tuner.training import train

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
class _Order:
    """What is wanted of all trainings."""

    on_event: OnEvent | None
    stop: StopToken
    options: TrainOptions
    on_error: OnError


def train_many(  # noqa: D417 - several arguments are those of `from_recipe` and `train`
    recipes: Iterable[RecipeSource],
    *,
    overrides: Overrides = (),
    plugins: Iterable[object] = (),
    discover: bool = True,
    blocked: Iterable[str] = (),
    allowed: Iterable[str] | None = None,
    loaders: Mapping[str, RowsFunction] | None = None,
    evaluators: Mapping[str, ScoreFunction] | None = None,
    trust_remote_code: bool = False,
    on_event: OnEvent | None = None,
    stop: StopToken | None = None,
    resume: ResumeMany = "never",
    evaluate: bool = True,
    on_error: OnError = "raise",
) -> Generator[RunOutcome, None, None]:
    """Train one recipe after the other over a base model that is loaded once; each gets the bits it would have alone.

    All recipes are read and checked by the call; a training begins when its outcome is asked for. Closing the iterator,
    or its end, lets go of everything.

    Args:
        recipes: as in `FineTuner.from_recipe`, all with the same ``base_model``.
        overrides: applied to each recipe.
        plugins: as in `FineTuner.from_recipe`; so are discover, blocked, allowed, loaders and evaluators.
        on_event: called with every event of one run after the other, in the calling thread.
        stop: ends the run that is going on, with an adapter if it saves, and begins no other.
        resume: as in `FineTuner.train`, for each recipe by itself; a path would name one run.
        evaluate: as in `FineTuner.train`.
        on_error: ``raise`` the error of a run, with a note that names its recipe; or ``continue`` with the next, and
            find the error in the outcome.

    Raises:
        LorasdkError: all problems of the first gate that is not passed: texts and values, components and files, base
            models that differ, folders of runs that are one.
    """
    found = with_functions(plugins, loaders=loaders, evaluators=evaluators)
    manager = build_manager(found, discover=discover, blocked=blocked, allowed=allowed)
    shared = OneBase(HEAVY)
    loaded = _each(list(recipes), lambda source: load_recipe(source, overrides=overrides))
    states = _opened(loaded, manager, shared, trust_remote_code=trust_remote_code, resume=resume)
    options = TrainOptions.of(resume, (), evaluate=evaluate)
    return _in_turn(shared, deque(enumerate(states)), _Order(on_event, stop or StopToken(), options, on_error))


def _opened(
    recipes: Sequence[Recipe], manager: Manager, rooms: Rooms, *, trust_remote_code: bool, resume: ResumeMany
) -> list[TunerState]:
    def opened(recipe: Recipe) -> TunerState:
        return open_recipe(recipe, manager, rows={}, trust_remote_code=trust_remote_code, rooms=rooms)

    states = _each(recipes, opened)
    require_one_base([state.resolved for state in states])
    if resume != "never":
        _require_own_folders([state.resolved for state in states])
    return states


def _in_turn(
    shared: OneBase, waiting: deque[tuple[int, TunerState]], order: _Order
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


def _outcome(index: int, state: TunerState, order: _Order) -> RunOutcome:
    recipe = state.resolved.recipe
    try:
        result = train(state, state.emitter(order.on_event), order.stop, order.options)
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
