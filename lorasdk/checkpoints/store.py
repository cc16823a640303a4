"""The checkpoints of one run: saved whole, the newest whole one found, old ones removed.

One process at a time: whoever uses a store holds the run's lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.drafts import remove_drafts
from lorasdk.checkpoints.layout import CHECKPOINTS, checkpoints_by_step, foreign, step_path
from lorasdk.checkpoints.manifest import write_manifest
from lorasdk.checkpoints.quarantine import quarantine, quarantined
from lorasdk.checkpoints.rotation import rotate
from lorasdk.checkpoints.verifying import Checkpoint, Damage, verify
from lorasdk.checkpoints.whole_folder import bytes_in, whole_folder
from lorasdk.errors import CheckpointError, Problem
from lorasdk.events import CheckpointSaved, Emit, Notice


class CheckpointStore:
    """The checkpoints of one run folder."""

    def __init__(self, run_dir: Path, *, keep: int, emit: Emit) -> None:
        """Know where they lie; nothing is read or made.

        Args:
            run_dir: the run's folder; it must exist when something is saved.
            keep: how many checkpoints are kept, at least 1.
            emit: receives `CheckpointSaved` and notices.
        """
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self._run_dir = run_dir
        self._folder = run_dir / CHECKPOINTS
        self._keep = keep
        self._emit = emit

    def save(self, step: int, fill: Callable[[Path], None], facts: Mapping[str, Any]) -> Path:
        """Write the checkpoint of `step` whole or not at all, then remove superfluous ones.

        A whole checkpoint of `step` that exists is left as it is; a damaged one is moved away.

        Args:
            step: steps taken.
            fill: writes the files into the folder it is given; it calls
                ``fault_points.reach("file-written")`` after each.
            facts: what JSON can hold; handed back by `newest`.

        Raises:
            ResourceError: the disk refuses. Nothing of the checkpoint is left, and older ones are as they were.
            CheckpointError: a file or link of somebody else stands where the checkpoint goes.
            TypeError, ValueError: JSON cannot hold `facts`; nothing was written.
        """
        json.dumps(facts, allow_nan=False)
        path = step_path(self._folder, step)
        there = self._there(path, step)
        if not isinstance(there, Checkpoint):
            self._write(path, step, fill, facts, there)
        self._emit(CheckpointSaved(path, step))
        self._rotate(step)
        return path

    def newest(self) -> Checkpoint | None:
        """Give the checkpoint of the highest step that is whole; None when there never was one.

        Damaged ones above it are moved to ``damaged/``, each with its reasons.

        Raises:
            CheckpointError: there are checkpoints and all are damaged; nothing is moved or deleted.
            ResourceError: one cannot be read, for a reason that need not be its own.
        """
        damaged: list[Damage] = []
        for step, path in checkpoints_by_step(self._folder).items():
            found = verify(path, step)
            if isinstance(found, Checkpoint):
                for damage in damaged:
                    self._set_aside(damage, instead=found.path)
                return found
            damaged.append(found)
        # A process may have been killed between moving the last one away and writing it anew.
        damaged = damaged or quarantined(self._folder)
        if damaged:
            raise CheckpointError(*map(_all_damaged, damaged))
        return None

    def clean(self) -> None:
        """Delete what a killed process left unfinished in the run's folder, and tell of what somebody else put there.

        Raises:
            ResourceError: the folder cannot be read.
        """
        for folder in (self._run_dir, self._folder):
            remove_drafts(folder)
        for path in foreign(self._folder):
            self._emit(Notice("checkpoint.ignored", f"this is no checkpoint and is left alone: {path.absolute()}"))

    def _there(self, path: Path, step: int) -> Checkpoint | Damage | None:
        if step in checkpoints_by_step(self._folder):
            return verify(path, step)
        if path.is_symlink() or path.is_file():
            raise CheckpointError(_in_the_way(path))
        return None

    def _write(
        self, path: Path, step: int, fill: Callable[[Path], None], facts: Mapping[str, Any], damage: Damage | None
    ) -> None:
        what, code = f"the checkpoint of step {step}", "checkpoint.disk"
        with whole_folder(path, what=what, code=code, expected_bytes=self._usual_bytes()) as draft:
            fill(draft)
            fault_points.reach("before-manifest")
            write_manifest(draft, step, facts)
            fault_points.reach("manifest-written")
            if damage is not None:
                self._emit(_quarantined(damage, quarantine(damage), instead=path))

    def _usual_bytes(self) -> int:
        """Of the newest checkpoint, which the next will resemble; 0 before the first."""
        newest = next(iter(checkpoints_by_step(self._folder).values()), None)
        return bytes_in(newest) if newest else 0

    def _set_aside(self, damage: Damage, *, instead: Path) -> None:
        try:
            self._emit(_quarantined(damage, quarantine(damage), instead=instead))
        except OSError as error:  # a run that may only be read can still be resumed elsewhere
            message = f"a damaged checkpoint cannot be moved away, and is not used: {damage.path}: {error}"
            self._emit(Notice("checkpoint.damaged-in-place", message))

    def _rotate(self, saved_step: int) -> None:
        try:
            rotate(self._folder, saved_step=saved_step, keep=self._keep)
        except OSError as error:  # what was saved is saved
            self._emit(Notice("checkpoint.not-removed", f"an old checkpoint cannot be removed: {error}"))


def _quarantined(damage: Damage, target: Path, *, instead: Path) -> Notice:
    why = "; ".join(damage.reasons)
    message = f"a damaged checkpoint was moved to {target.absolute()} ({why}); {instead.name} takes its place"
    return Notice("checkpoint.quarantined", message)


def _all_damaged(damage: Damage) -> Problem:
    return Problem(
        code="checkpoint.all-damaged",
        message=f"no checkpoint is whole, and this one is damaged: {'; '.join(damage.reasons)}",
        place=str(damage.path.absolute()),
        fix="restore a checkpoint's folder from a copy, or begin a new run; nothing was deleted",
    )


def _in_the_way(path: Path) -> Problem:
    return Problem(
        code="checkpoint.in-the-way",
        message="a file or link stands where the checkpoint goes; nothing is ever overwritten",
        place=str(path.absolute()),
        fix="move it away",
    )
