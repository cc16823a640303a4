"""What decides the bits of a run; and how a run that goes on differs from the one that was begun.

An identity is flat: dotted names to plain values. What cannot touch the adapter (names, folders, generation, how often
checkpoints are written, where the same rows and the same base model come from) is no part of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lorasdk.contracts import VALIDATION_METRICS
from lorasdk.errors import CheckpointError, Problem
from lorasdk.recipe import Recipe
from lorasdk.recipe.meaning import with_effect

Identity: TypeAlias = Mapping[str, Any]

SOURCES = frozenset({"train", "validation", "test"})
"""Of the data section: stood for by the hash of their rows."""
BASE = frozenset({"source", "revision", "device", "dtype", "chat_template"})
"""Of the base model's section: stood for by what they came to."""
SHAPES = frozenset(
    "lora." + name
    for name in ("rank", "targets", "rank_pattern", "layers", "modules_to_save", "target_parameters", "bias", "dora")
)
"""They decide which parameters there are, so that other ones cannot go on."""
MACHINE = "machine"
"""Differences of the machine are told, not refused: nobody resumes on another one by mistake."""


def recipe_identity(recipe: Recipe) -> dict[str, Any]:
    """The recipe's part."""
    values = recipe.dump()
    sections = {
        "base_model": {key: value for key, value in values["base_model"].items() if key not in BASE},
        "data": {key: value for key, value in values["data"].items() if key not in SOURCES},
        "lora": values["lora"],
        "training": with_effect("training", values["training"]),
    }
    if recipe.training.metric not in VALIDATION_METRICS:
        evaluation = with_effect("evaluation", values["evaluation"])
        sections |= {"evaluation": evaluation, "generation": values["generation"]}
    return {f"{section}.{key}": value for section, part in sections.items() for key, value in part.items()}


@dataclass(frozen=True)
class Admission:
    """What a run that goes on may be called."""

    allowed: tuple[str, ...] = ()
    """Changes that the caller allowed, now or before."""
    machine: tuple[str, ...] = ()
    """Properties of the machine that differ."""


def admit(before: Identity, now: Identity, *, allow: Iterable[str], checkpoint: Path) -> Admission:
    """Compare the identities of a checkpoint and of the run that would go on from it.

    Args:
        before: as the checkpoint has it.
        now: of this run.
        allow: names whose change is wanted, or sections of them, such as ``training.learning_rate`` or ``versions``.
        checkpoint: for messages.

    Raises:
        CheckpointError: something changed that is not allowed; all of it is listed.
    """
    allow = tuple(allow)
    unknown = [name for name in allow if not any(_covers(name, key) for key in {*before, *now})]
    if unknown:
        raise CheckpointError(*(_unknown(name, now) for name in unknown))
    changed = _differing(before, now)
    machine = tuple(key for key in changed if _covers(MACHINE, key))
    refused = [key for key in changed if key not in machine and not _allowed(key, allow)]
    if refused:
        raise CheckpointError(*(_changed(key, before, now, checkpoint) for key in refused))
    return Admission(tuple(key for key in changed if key not in machine), machine)


def _differing(before: Identity, now: Identity) -> list[str]:
    """Names with different values, but for what follows from a name above them: other rows have other tokens."""
    changed = {key for key in {*before, *now} if before.get(key) != now.get(key)}
    return sorted(key for key in changed if key.rpartition(".")[0] not in changed)


def _covers(name: str, key: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _allowed(key: str, allow: Iterable[str]) -> bool:
    return key not in SHAPES and any(_covers(name, key) for name in allow)


def _changed(key: str, before: Identity, now: Identity, checkpoint: Path) -> Problem:
    fix = "change it back, or begin anew with resume='never'"
    if key not in SHAPES:
        fix = f"change it back, allow it with allow_changes=[{key!r}], or begin anew with resume='never'"
    return Problem(
        code="checkpoint.changed",
        message="this is not what the run was begun with, so it would not go on to the same bits",
        place=str(checkpoint),
        field=key,
        found=_shown(now.get(key)),
        allowed=_shown(before.get(key)),
        fix=fix,
    )


def _unknown(name: str, now: Identity) -> Problem:
    return Problem(
        code="checkpoint.unknown-change",
        message=f"allow_changes names {name!r}, which is no part of a run's identity",
        field="allow_changes",
        found=repr(name),
        allowed=", ".join(sorted({key.split(".")[0] for key in now})) + ", or one name of these",
        fix="name a field as the list of differences does",
    )


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
