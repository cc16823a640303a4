"""Brings files and folders to the disk, so that what is renamed afterwards survives a loss of power."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_FOLDERS = {errno.EBADF, errno.EINVAL}
"""What file systems answer that flush files but not folders; PostgreSQL lets these pass too."""


def flush(path: Path) -> None:
    """Flush one file, or the list of names in one folder.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_FOLDERS):
            raise
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush everything in `folder`, then the folder itself.

    Raises:
        OSError: the disk refuses.
    """
    for path in sorted(folder.rglob("*"), reverse=True):  # what a folder holds comes before the folder
        if not path.is_symlink():
            flush(path)
    flush(folder)
