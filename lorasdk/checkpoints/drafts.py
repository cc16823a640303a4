"""Names what is being written, so that what a killed process left is known and nothing else is taken for it."""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

_DRAFT = re.compile(r"\..+-[0-9a-f]{8}\.draft")


def draft_of(path: Path) -> Path:
    """Give a free name beside `path`, in the same file system, so that it can be renamed to `path`."""
    return path.with_name(f".{path.name}-{secrets.token_hex(4)}.draft")


def remove_drafts(folder: Path) -> None:
    """Delete the drafts in `folder`; nobody may be writing there. One that cannot be deleted does no harm."""
    for path in folder.glob(".*.draft"):
        if not _DRAFT.fullmatch(path.name) or path.is_symlink():
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
