"""Rows of a CSV file; its first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from lorasdk.builtin.opening import MAX_LINE_BYTES, open_bytes
from lorasdk.contracts import Row
from lorasdk.errors import DataError, Problem


def csv_rows(path: Path, delimiter: str, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    """Yield each record as a mapping of texts; quoted cells may hold line breaks.

    Raises:
        DataError: the header is missing or doubled, the delimiter is wrong, or the text is not UTF-8.
    """
    with open_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            yield from _records(text, path, delimiter, bad_row)
        except UnicodeDecodeError as error:
            raise DataError(_encoding(path, error)) from error
        except csv.Error as error:
            raise DataError(Problem("data.bad-csv", f"the CSV cannot be read: {error}", str(path))) from error
        finally:
            text.detach()


def _records(text: io.TextIOWrapper, path: Path, delimiter: str, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = next((cells for cells in reader if any(cell.strip() for cell in cells)), None)
    if header is None:
        return
    _check_header(header, path, delimiter)
    for cells in reader:
        if len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        elif cells:
            bad_row(_wrong_width(cells, header, f"{path}:{reader.line_num}"))


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
        problem = Problem("data.double-column", f"columns stand twice: {', '.join(double)}", f"{path}:1")
        raise DataError(problem)


def _wrong_width(cells: list[str], header: list[str], place: str) -> Problem:
    return Problem(
        code="data.wrong-width",
        message=f"the record has {len(cells)} cells and the header {len(header)}",
        place=place,
        found=", ".join(cells)[:80],
        allowed=", ".join(header),
        fix="quote cells that contain the delimiter",
    )


def _encoding(path: Path, error: UnicodeDecodeError) -> Problem:
    # The decoder counts from the start of its buffer; find the byte in the file itself.
    row, offset = 0, 0
    with open_bytes(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            row += 1
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as found:
                offset += found.start
                break
            offset += len(line)
    return Problem(
        code="data.encoding",
        message=f"byte {offset} of the file is not UTF-8",
        place=f"{path}:{row}",
        found=repr(error.object[error.start : error.start + 8]),
        fix="save the file as UTF-8",
    )
