"""Tells a whole checkpoint from a damaged one, by reading every byte of it."""

from __future__ import annotations

import errno
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasdk.checkpoints.layout import unreadable
from lorasdk.checkpoints.manifest import FileRecord, read_manifest, record_of
from lorasdk.errors import ResourceError

_DAMAGE = {errno.ENOENT, errno.ENOTDIR, errno.EIO}
"""What is wrong with a file. Anything else (no permission, no memory) says nothing about it, and may pass."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of which every file is what was written."""

    path: Path
    """Its folder."""
    step: int
    """Steps taken when it was written."""
    facts: Mapping[str, Any]
    """What its writer wanted to know again: what JSON can hold."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A checkpoint that may not be used."""

    path: Path
    """Its folder."""
    reasons: tuple[str, ...]
    """What is wrong with it, a sentence for each file."""


def verify(path: Path, step: int) -> Checkpoint | Damage:
    """Compare the folder of `step` with its manifest.

    Raises:
        ResourceError: it cannot be read, for a reason that need not be its own.
    """
    try:
        manifest = read_manifest(path)
    except ValueError as error:
        return Damage(path, (str(error),))
    except OSError as error:
        return Damage(path, (_damage(error, path),))
    compared = [_difference(path / name, name, record) for name, record in manifest.files.items()]
    reasons = [reason for reason in compared if reason]
    if manifest.step != step:
        reasons.append(f"its manifest is that of step {manifest.step}")
    return Damage(path, tuple(reasons)) if reasons else Checkpoint(path, step, manifest.facts)


def _difference(path: Path, name: str, record: FileRecord) -> str | None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return f"{name} is no file"
        if status.st_size != record.size_bytes:
            return f"{name} has {status.st_size:,} of {record.size_bytes:,} bytes"
        found = record_of(path).sha256
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return _damage(error, path)
    return None if found == record.sha256 else f"{name} has sha256 {found}, not {record.sha256}"


def _damage(error: OSError, path: Path) -> str:
    if error.errno in _DAMAGE:
        return f"{path.name} cannot be read: {error}"
    raise ResourceError(unreadable(path, error)) from error
