"""Opens a data file's bytes, through gzip where the name says so, and never more of them than a limit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from lorasdk.errors import DataError, Problem

MAX_UNPACKED_BYTES = 16 * 1024**3
"""Where unpacking stops: a small file can claim to hold anything."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 64 * 1024**2
"""Longest line; a longer one is no row but a file of another kind."""


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open for reading, unpacked.

    Raises:
        DataError: the compressed data is damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        problem = Problem(
            "data.damaged-gzip", f"the compressed file is damaged: {error}", str(path), fix="write the file again"
        )
        raise DataError(problem) from error


def lines_of(file: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their ends, each after the byte of the file it begins at; the byte-order mark is left out.

    Raises:
        DataError: a line, or all of them together, exceed the limits.
    """
    offset = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES or offset + len(line) > MAX_UNPACKED_BYTES:
            limit = f"{MAX_LINE_BYTES} bytes a line and {MAX_UNPACKED_BYTES} in all"
            raise DataError(Problem("data.too-large", "the file exceeds the limits", str(path), allowed=limit))
        begin = len(BYTE_ORDER_MARK) if offset == 0 and line.startswith(BYTE_ORDER_MARK) else 0
        yield offset + begin, line[begin:]
        offset += len(line)


def decode_utf8(content: bytes, *, place: str, offset: int) -> str:
    """Text of `content`, which begins at byte `offset` of its file.

    Raises:
        DataError: it is not UTF-8; the message names the byte. A file that ends inside a character is called truncated.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {offset + error.start} of the file"
        cut = error.reason == "unexpected end of data"
        problem = Problem(
            code="data.truncated-file" if cut else "data.encoding",
            message=f"the file ends inside the character at {byte}: file appears truncated"
            if cut
            else f"{byte} is not UTF-8",
            place=place,
            found=repr(content[error.start : error.start + 8]),
            fix="write the file again, or set data.on_bad_row: skip" if cut else "save the file as UTF-8",
        )
        raise DataError(problem) from error
