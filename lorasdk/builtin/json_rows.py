"""Rows of a JSON file: a list of objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from lorasdk.builtin.jsonl_rows import SNIPPET, breaks_off, not_an_object
from lorasdk.builtin.opening import BYTE_ORDER_MARK, decode_utf8, open_bytes
from lorasdk.contracts import Row
from lorasdk.errors import DataError, Problem

MAX_BYTES = 1024**3
"""JSON is read whole; more than this belongs into JSON Lines."""


def json_rows(path: Path, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    """Yield the objects of the list.

    Raises:
        DataError: the file is no JSON, no list, or too large to be read whole.
    """
    for number, value in enumerate(_items(path), start=1):
        if isinstance(value, dict):
            yield value
        else:
            bad_row(not_an_object(value, f"{path} row {number}"))


def _items(path: Path) -> list[object]:
    with open_bytes(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        message = f"a JSON file is read whole and may have {MAX_BYTES} bytes"
        raise DataError(Problem("data.too-large", message, str(path), fix="write JSON Lines instead"))
    begin = len(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else 0
    text = decode_utf8(content[begin:], place=str(path), offset=begin)
    if not text.strip():
        return []
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(_syntax(error, path)) from error
    except (ValueError, RecursionError) as error:  # a number of more digits, or deeper nesting, than Python reads
        raise DataError(Problem("data.bad-json", f"not JSON: {error}", str(path), fix="correct the file")) from error
    if isinstance(value, list):
        return value
    raise DataError(
        Problem(
            code="data.not-a-list",
            message=f"expected a list of objects, got {type(value).__name__}",
            place=str(path),
            allowed='[{"instruction": "…", "output": "…"}, …]',
            fix="put the rows into a list, or write JSON Lines (.jsonl)",
        )
    )


def _syntax(error: json.JSONDecodeError, path: Path) -> Problem:
    lines = error.doc.splitlines()
    line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    start = max(0, error.colno - 1 - SNIPPET // 2)
    cut = breaks_off(error, error.doc, closing="]")
    return Problem(
        code="data.truncated-file" if cut else "data.bad-json",
        message="the list does not end: file appears truncated" if cut else f"not JSON: {error.msg}",
        place=f"{path}:{error.lineno}:{error.colno}",
        found=line[start : start + SNIPPET],
        fix="write the file again" if cut else "correct the line; one object a line is JSON Lines (.jsonl)",
    )
