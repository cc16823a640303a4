"""Gives two folders each other's names, in one step where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

from lorasdk.checkpoints.drafts import draft_of

_HERE = -100
"""``AT_FDCWD``: a path that is not absolute begins at the working folder."""
_LINUX_EXCHANGE, _MACOS_SWAP = 2, 2
"""``RENAME_EXCHANGE`` of renameat2, and ``RENAME_SWAP`` of renamex_np."""
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}
"""What file systems and kernels answer that do not know the call."""


def exchange(one: Path, other: Path) -> None:
    """Exchange the names of two folders of one file system.

    On Linux and macOS nobody ever sees either name without its folder. Elsewhere `other` is missing for an instant
    between two renames, and a process that is killed there leaves it whole under the name of a draft.

    Raises:
        OSError: the system refuses; both are as they were.
    """
    if not _in_one_step(os.fsencode(one.absolute()), os.fsencode(other.absolute())):
        _in_three(one, other)


def _in_one_step(one: bytes, other: bytes) -> bool:
    """Whether the system could."""
    library = ctypes.CDLL(None, use_errno=True) if sys.platform in {"linux", "darwin"} else None
    try:
        if sys.platform == "linux" and library is not None:
            failed = library.renameat2(_HERE, one, _HERE, other, ctypes.c_uint(_LINUX_EXCHANGE))
        elif sys.platform == "darwin" and library is not None:
            failed = library.renamex_np(one, other, ctypes.c_uint(_MACOS_SWAP))
        else:
            return False
    except AttributeError:  # a C library that has no such function
        return False
    if failed and ctypes.get_errno() not in _CANNOT:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fsdecode(other))
    return not failed


def _in_three(one: Path, other: Path) -> None:
    aside = draft_of(other)
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    aside.rename(one)
