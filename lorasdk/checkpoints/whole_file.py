"""Writes a small file whole or not at all: a draft beside it, brought to the disk, then renamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorasdk.checkpoints import fault_points
from lorasdk.checkpoints.drafts import draft_of
from lorasdk.checkpoints.flushing import flush


def write_whole_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as JSON to `path`, in place of what was there; a reader sees the old file or the new one.

    Raises:
        OSError: the disk refuses; what was there is untouched.
        TypeError, ValueError: JSON cannot hold `value`.
    """
    write_whole_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_whole_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, in place of what was there; a reader sees the old file or the new one.

    Raises:
        OSError: the disk refuses; what was there is untouched.
    """
    draft = draft_of(path)
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        fault_points.reach("file-draft-written")
        flush(draft)
        fault_points.reach("file-before-rename")
        draft.replace(path)
        fault_points.reach("file-after-rename")
    finally:
        draft.unlink(missing_ok=True)
    flush(path.parent)
