"""Removes checkpoints that newer ones have made superfluous."""

from __future__ import annotations

import shutil
from pathlib import Path

from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.drafts import draft_of
from lorasdk.checkpoints.layout import checkpoints_by_step


def rotate(folder: Path, *, saved_step: int, keep: int) -> None:
    """Keep the whole checkpoint of `saved_step` and the newest before it, `keep` in all; later ones are not touched.

    Raises:
        OSError: the disk refuses; a checkpoint is still there or it is gone, never there in part.
    """
    newest_first = [path for step, path in checkpoints_by_step(folder).items() if step <= saved_step]
    for path in reversed(newest_first[keep:]):
        _remove(path)


def _remove(path: Path) -> None:
    fault_points.reach("before-removal")
    # Under a draft's name first: what is left of it, if the process is killed now, must not look like a checkpoint.
    doomed = draft_of(path)
    path.rename(doomed)
    fault_points.reach("removal-begun")
    shutil.rmtree(doomed)
    fault_points.reach("after-removal")
