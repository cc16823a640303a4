"""Takes texts and lists of objects out of a row's cells, whatever the source uses for "nothing"."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from reprlib import repr as short_repr
from typing import Any

from lorasdk.data.fault import ConversationFaultError


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: null, a blank text, or the NaN that tables use for both."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def required_text(row: Mapping[str, object], column: str) -> str:
    """The text of a cell; a number is written out.

    Raises:
        ConversationFaultError: the cell holds nothing, or something else.
    """
    value = row.get(column)
    if not is_missing(value):
        if isinstance(value, str):
            return whole_text(value, f"column {column!r}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    kind = "an empty text" if isinstance(value, str) else "null" if is_missing(value) else type(value).__name__
    raise ConversationFaultError(
        "data.no-text",
        f"column {column!r} must hold a text",
        found=kind,
        allowed="a text",
        fix="fill or remove the row",
    )


def optional_text(row: Mapping[str, object], column: str) -> str:
    """The text of a cell, empty when the cell holds nothing.

    Raises:
        ConversationFaultError: the cell holds something else than a text.
    """
    return "" if is_missing(row.get(column)) else required_text(row, column)


def answer_text(row: Mapping[str, object], column: str) -> str:
    """The text of a cell that the model shall learn to give.

    Raises:
        ConversationFaultError: there is nothing to learn, or it is no text.
    """
    value = row.get(column)
    if is_missing(value):
        found = "an empty text" if isinstance(value, str) else "null"
        raise ConversationFaultError(
            "data.empty-answer", f"{column!r} is empty", found=found, fix="fill or remove the row"
        )
    return required_text(row, column)


def whole_text(text: str, where: str) -> str:
    r"""Let `text` through if it consists of characters: a JSON escape cut in half (``\ud83d``) is none.

    Raises:
        ConversationFaultError: it holds half of a surrogate pair, which no tokenizer takes.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConversationFaultError(
            "data.encoding",
            f"{where} holds half of a surrogate pair, which is no character",
            found=ascii(text[max(0, error.start - 20) : error.start + 1]),
            fix="cut texts between characters when you make the file",
        ) from error
    return text


def object_list(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:  # noqa: ANN401 - a cell of a row
    """Objects of a list, or of the JSON text of one, as tables store them; none when the cell holds nothing.

    Raises:
        ConversationFaultError: it is neither, or cannot be written as JSON.
    """
    if is_missing(value):
        return ()
    try:
        items = json.loads(value) if isinstance(value, str) else value
        written = json.dumps(items, sort_keys=True, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise _no_objects(value, where) from error
    if not isinstance(items, list | tuple) or not all(isinstance(item, Mapping) for item in items):
        raise _no_objects(value, where)
    whole_text(written, where)
    return tuple(items)


def _no_objects(value: object, where: str) -> ConversationFaultError:
    return ConversationFaultError(
        "data.bad-tools",
        f"{where} must hold a list of objects, got {type(value).__name__}",
        found=short_repr(value),
        allowed='[{"type": "function", "function": {…}}, …], or its JSON text',
        fix="correct the row",
    )
