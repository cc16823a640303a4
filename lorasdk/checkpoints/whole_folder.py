"""Writes a folder whole or not at all: a draft beside it, brought to the disk, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.drafts import draft_of
from lorasdk.checkpoints.exchanging import exchange
from lorasdk.checkpoints.flushing import flush, flush_tree
from lorasdk.errors import Problem, ResourceError


@contextmanager
def whole_folder(
    folder: Path, *, what: str, code: str, parents: bool = False, expected_bytes: int = 0, replacing: bool = False
) -> Iterator[Path]:
    """Give a draft to fill; when the block ends well it becomes `folder`, else nothing of it is left.

    Args:
        folder: must not exist, or be empty, unless it is replaced.
        what: names it in an error: ``the adapter``.
        code: the error's.
        parents: also make missing folders above its parent.
        expected_bytes: what it will hold, as far as known, for the error of a full disk.
        replacing: take the place of the folder that is there, which is gone afterwards; until then it is untouched.

    Raises:
        ResourceError: the disk refuses, in the block too.
    """
    draft = draft_of(folder)
    try:
        folder.parent.mkdir(parents=parents, exist_ok=True)
        fault_points.reach("before-draft")
        draft.mkdir()
        fault_points.reach("draft-made")
        yield draft
        _put_in_place(draft, folder, replacing=replacing and folder.exists())
    except (OSError, SafetensorError) as error:
        if isinstance(error, SafetensorError) and "I/O error" not in str(error):
            raise
        problem = _refusal(error, draft, folder, what=what, code=code, expected_bytes=expected_bytes)
        raise ResourceError(problem) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def bytes_in(folder: Path) -> int:
    """Size of all files in `folder`, as far as they can be seen."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total


def _put_in_place(draft: Path, folder: Path, *, replacing: bool) -> None:
    fault_points.reach("before-flush")
    flush_tree(draft)
    fault_points.reach("after-flush")
    fault_points.reach("before-rename")
    if replacing:
        exchange(draft, folder)  # whoever made the draft deletes what then lies there
    else:
        draft.rename(folder)
    fault_points.reach("after-rename")
    flush(folder.parent)
    fault_points.reach("parent-flushed")


def _refusal(error: Exception, draft: Path, folder: Path, *, what: str, code: str, expected_bytes: int) -> Problem:
    return Problem(
        code=code,
        message=f"{what} could not be written: {error}",
        place=str(folder.absolute()),
        found=_free(folder.parent),
        allowed=f"more than {max(bytes_in(draft), expected_bytes):,} bytes free, in a folder that can be written to",
        fix="free disk space or choose another output_dir; nothing half-written was left",
    )


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free:,} bytes free"
    except OSError:
        return f"no folder {folder.absolute()}"
