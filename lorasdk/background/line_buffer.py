"""Cuts what comes out of a pipe into lines."""

from __future__ import annotations

import os
from collections.abc import Iterator

CHUNK = 65_536
"""Bytes asked of a pipe at a time: what Linux keeps in one."""


class LineBuffer:
    """Collects chunks; gives the lines that are complete."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def lines(self, chunk: bytes) -> list[bytes]:
        """Lines, without their ends, that this chunk completes."""
        first, *rest = chunk.split(b"\n")
        self._begun.append(first)
        if not rest:
            return []
        whole = [b"".join(self._begun), *rest[:-1]]
        self._begun = [rest[-1]]
        return whole


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Lines of a pipe as they come, until its other end is closed."""
    # Not a file object: at the end of the program Python would wait for the lock of one that is being read.
    buffer = LineBuffer()
    while chunk := os.read(descriptor, CHUNK):
        yield from buffer.lines(chunk)
