"""Rows of a CSV file; its first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from lorasdk.builtin.opening import decode_utf8, lines_of, open_bytes
from lorasdk.contracts import Row
from lorasdk.errors import DataError, Problem


def csv_rows(path: Path, delimiter: str, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    """Yield each record as a mapping of texts; quoted cells may hold line breaks. Faulty records go to `bad_row`.

    Raises:
        DataError: the header names a column twice or is not UTF-8, or the delimiter is wrong.
    """
    with open_bytes(path) as file:
        yield from _records(_text_lines(file, path, bad_row), path, delimiter, bad_row)


def _text_lines(file: IO[bytes], path: Path, bad_row: Callable[[Problem], None]) -> Iterator[str]:
    for number, (offset, line) in enumerate(lines_of(file, path), start=1):
        try:
            text = decode_utf8(line, place=f"{path}:{number}", offset=offset)
        except DataError as error:
            if number == 1:
                raise  # without its header nothing of the file can be read
            bad_row(error.problems[0])
            text = "\n"  # a blank line in its place keeps the reader's count of lines
        yield from io.StringIO(text, newline="")  # also splits at a bare carriage return, as old spreadsheets write


def _records(lines: Iterator[str], path: Path, delimiter: str, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad_row(_syntax(error, f"{path}:{reader.line_num}"))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            _check_header(cells, path, delimiter)
            header = cells
        elif len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        else:
            bad_row(_wrong_width(cells, header, f"{path}:{reader.line_num}"))


def _syntax(error: csv.Error, place: str) -> Problem:
    cut = "unexpected end of data" in str(error)
    return Problem(
        code="data.truncated-file" if cut else "data.bad-csv",
        message="the last record is not complete: file appears truncated"
        if cut
        else f"the CSV cannot be read: {error}",
        place=place,
        allowed='cells in "…" with inner quotes doubled, and at most 131072 characters each',
        fix="write the file again, or set data.on_bad_row: skip" if cut else "correct the record, or write JSON Lines",
    )


def _check_header(header: list[str], path: Path, delimiter: str) -> None:
    other = next((mark for mark in (";", "\t", "|", ",") if mark != delimiter and mark in header[0]), None)
    if len(header) == 1 and other:
        raise DataError(
            Problem(
                code="data.wrong-delimiter",
                message=f"the header is one column and contains {other!r}, so the delimiter is probably {other!r}",
                place=f"{path}:1",
                found=header[0][:80],
                allowed=f"columns separated by {delimiter!r}",
                fix=f'add delimiter: "{other}"' if other != "\t" else 'add delimiter: "\\t"',
            )
        )
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        names = ", ".join(map(repr, double))
        fix = "give every column a name of its own"
        raise DataError(Problem("data.double-column", f"columns stand twice: {names}", f"{path}:1", fix=fix))


def _wrong_width(cells: list[str], header: list[str], place: str) -> Problem:
    return Problem(
        code="data.wrong-width",
        message=f"the record has {len(cells)} cells and the header {len(header)}",
        place=place,
        found=", ".join(cells)[:80],
        allowed=", ".join(header),
        fix="quote cells that contain the delimiter",
    )
