"""Rows of a JSON Lines file, one object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from reprlib import repr as short_repr

from lorasdk.builtin.opening import decode_utf8, lines_of, open_bytes
from lorasdk.contracts import Row
from lorasdk.errors import DataError, Problem

SNIPPET = 80
"""Characters of a faulty line that are shown."""


def jsonl_rows(path: Path, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    """Yield the object of each line that is not blank; a line that cannot be read goes to `bad_row`."""
    with open_bytes(path) as file:
        for number, (offset, line) in enumerate(lines_of(file, path), start=1):
            if line.strip():
                row = _row(line, path, number, offset, bad_row)
                if row is not None:
                    yield row


def _row(line: bytes, path: Path, number: int, offset: int, bad_row: Callable[[Problem], None]) -> Row | None:
    try:
        text = decode_utf8(line, place=f"{path}:{number}", offset=offset)
        value = json.loads(text)
    except DataError as error:
        bad_row(error.problems[0])
        return None
    except (ValueError, RecursionError) as error:
        bad_row(_syntax(error, line, path, number))
        return None
    if isinstance(value, dict):
        return value
    bad_row(not_an_object(value, f"{path}:{number}"))
    return None


def _syntax(error: ValueError | RecursionError, line: bytes, path: Path, number: int) -> Problem:
    text = line.decode("utf-8").rstrip("\r\n")
    cut = not line.endswith(b"\n") and breaks_off(error, text, closing="}")
    column = error.pos + 1 if isinstance(error, json.JSONDecodeError) else 1
    start = max(0, column - 1 - SNIPPET // 2)
    message = "the last line is not complete: file appears truncated" if cut else f"not a JSON object: {error}"
    return Problem(
        code="data.truncated-file" if cut else "data.bad-json",
        message=message,
        place=f"{path}:{number}:{column}",
        found=text[start : start + SNIPPET],
        allowed="one JSON object a line",
        fix="write the file again, or set data.on_bad_row: skip" if cut else "correct the line",
    )


def breaks_off(error: Exception, text: str, *, closing: str) -> bool:
    """Whether `text` is the beginning of JSON that should end with `closing`, and not JSON with a mistake."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    text = text.rstrip()
    return error.pos >= len(text) or error.msg.startswith("Unterminated string") or not text.endswith(closing)


def not_an_object(value: object, place: str) -> Problem:
    """What is said of a row that is something else than a mapping."""
    return Problem(
        code="data.row-not-an-object",
        message=f"a row must be an object with named columns, got {type(value).__name__}",
        place=place,
        found=short_repr(value),
        allowed='an object such as {"instruction": "…", "output": "…"}',
        fix="correct the row",
    )
