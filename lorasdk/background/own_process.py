"""Settles what only the owner of a process may settle: how its allocator treats large blocks."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
NEVER = 2**31 - 1
LARGEST = 32 * 2**20
"""glibc takes no higher threshold."""


def keep_freed_memory() -> None:
    """Let glibc keep what training frees at the end of a step and takes again in the next.

    Without it, each step returns hundreds of megabytes to the kernel and has them cleared again. Other C libraries are
    left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, LARGEST)
    libc.mallopt(TRIM_THRESHOLD, NEVER)
