"""Moves damaged checkpoints out of the way and writes down why. Nothing is ever deleted here."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.flushing import flush
from lorasdk.checkpoints.layout import DAMAGED, entries
from lorasdk.checkpoints.verifying import Damage
from lorasdk.checkpoints.whole_file import write_whole_json

REASON = "reason.json"


class _Reason(BaseModel):
    model_config = ConfigDict(frozen=True)

    reasons: tuple[str, ...]


def quarantine(damage: Damage) -> Path:
    """Move a damaged checkpoint into the folder for those, and give its new path.

    Raises:
        OSError: the disk refuses; it stands where it stood.
    """
    # The reason comes first, so that nothing lies there without one whenever the process is killed.
    moved = datetime.now(UTC).isoformat(timespec="seconds")
    write_whole_json(damage.path / REASON, {"moved": moved, "reasons": damage.reasons})
    shelf = damage.path.parent / DAMAGED
    shelf.mkdir(exist_ok=True)
    target = _free_name(shelf, damage.path.name)
    fault_points.reach("before-quarantine")
    damage.path.rename(target)
    flush(shelf)
    flush(shelf.parent)
    fault_points.reach("after-quarantine")
    return target


def quarantined(folder: Path) -> list[Damage]:
    """What was moved away from `folder` so far.

    Raises:
        ResourceError: it cannot be listed.
    """
    return [Damage(path, _reasons(path)) for path in entries(folder / DAMAGED)]


def _free_name(shelf: Path, name: str) -> Path:
    names = (shelf / (name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def _reasons(path: Path) -> tuple[str, ...]:
    try:
        return _Reason.model_validate_json((path / REASON).read_bytes()).reasons
    except (OSError, ValidationError) as error:
        return (f"{REASON} cannot be read: {type(error).__name__}",)
