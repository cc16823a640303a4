"""From a recipe or a saved adapter to a tuner's state: what both ways of making a `FineTuner` do. Light."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorasdk import heavy_rooms
from lorasdk.contracts import Row
from lorasdk.plugins import Manager
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.overrides import Overrides
from lorasdk.resolving import resolve
from lorasdk.runs.folder import find_adapter_dir, recipe_dir_of
from lorasdk.tuner.state import TunerState

HEAVY = heavy_rooms.HeavyRooms()

Rows = Mapping[str, Iterable[Row]]
"""Rows handed over in memory, by split."""


@dataclass(frozen=True)
class Trust:
    """What a host allows that a recipe cannot."""

    code: bool = False
    """Python code that comes with a base model."""
    other_base: bool = False
    """An adapter on other weights than those it was trained on."""


def open_recipe(
    recipe: Recipe, manager: Manager, *, rows: Rows, trust_remote_code: bool, rooms: heavy_rooms.Rooms = HEAVY
) -> TunerState:
    """A tuner that trains; everything the recipe names must be there."""
    return TunerState(
        resolve(recipe, manager, rows, check_model=rooms.real),
        manager,
        handed_over=frozenset(rows),
        trust_remote_code=trust_remote_code,
        adapter_dir=None,
        allow_base_mismatch=False,
        rooms=rooms,
    )


def open_adapter(
    path: Path,
    manager: Manager,
    *,
    overrides: Overrides,
    rows: Rows,
    trust: Trust,
) -> TunerState:
    """A tuner that answers with a saved adapter, perhaps long after the rows it was trained on are gone."""
    from lorasdk.artifacts.passport import read_passport

    adapter_dir = find_adapter_dir(path.expanduser().absolute())
    base_dir = recipe_dir_of(adapter_dir)
    recipe = load_recipe(read_passport(adapter_dir).recipe, overrides=overrides)
    return TunerState(
        resolve(recipe if base_dir is None else recipe.with_base_dir(base_dir), manager, rows, check_data=False),
        manager,
        handed_over=frozenset(rows),
        trust_remote_code=trust.code,
        adapter_dir=adapter_dir,
        allow_base_mismatch=trust.other_base,
        rooms=HEAVY,
    )
