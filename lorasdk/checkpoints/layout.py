"""Says what lies in a run's folder of checkpoints, and what it is called."""

from __future__ import annotations

import re
from pathlib import Path

from lorasdk.errors import Problem, ResourceError

CHECKPOINTS = "checkpoints"
"""In a run's folder."""
DAMAGED = "damaged"
"""In the folder of checkpoints: what was moved away."""
_STEP = re.compile(r"step-([0-9]{8,18})")


def step_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of `step` goes."""
    return folder / f"step-{step:08d}"


def checkpoints_by_step(folder: Path) -> dict[int, Path]:
    """Folders that may be checkpoints, the highest step first. Order is by step: clocks jump, and times get equal.

    Raises:
        ResourceError: `folder` cannot be listed.
    """
    found = {step: path for path in entries(folder) if (step := _step_of(path)) is not None}
    return dict(sorted(found.items(), reverse=True))


def foreign(folder: Path) -> list[Path]:
    """What somebody else put there.

    Raises:
        ResourceError: `folder` cannot be listed.
    """
    return [path for path in entries(folder) if path.name != DAMAGED and _step_of(path) is None]


def entries(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted by name; nothing, where there is none.

    Raises:
        ResourceError: it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ResourceError(unreadable(folder, error)) from error


def unreadable(path: Path, error: OSError) -> Problem:
    """What ails the machine or its settings rather than the checkpoint."""
    return Problem(
        code="checkpoint.unreadable",
        message=f"checkpoints cannot be read: {error}",
        place=str(path.absolute()),
        fix="let this process read them, give it more file handles or memory, and start again",
    )


def _step_of(path: Path) -> int | None:
    match = _STEP.fullmatch(path.name)
    if match is None or step_path(path.parent, int(match[1])) != path or path.is_symlink():
        return None
    # A folder appears with everything in it, so an empty one was not made here.
    return int(match[1]) if entries(path) else None
