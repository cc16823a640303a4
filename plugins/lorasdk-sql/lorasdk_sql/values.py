"""Makes plain data of what drivers give: what JSON can hold, written as text where a number would lose digits."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from uuid import UUID


class NoPlainValueError(Exception):
    """A value has no plain form that everybody would expect."""


def plain_value(value: object) -> object:
    """Give a column's value as plain data.

    Texts, integers, floats, booleans and nulls stay as they are. An exact decimal becomes the text of all its digits;
    a date, a time or both become ISO 8601; a UUID its usual text. Arrays and JSON become lists and mappings of such.

    Raises:
        NoPlainValueError: it is something else, such as bytes, whose encoding nobody knows.
    """
    match value:
        case None | str() | bool() | int() | float():
            return value
        case Decimal():
            return f"{value:f}"
        case date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case list() | tuple():
            return [plain_value(item) for item in value]
        case dict():
            return {str(key): plain_value(item) for key, item in value.items()}
    raise NoPlainValueError(type(value).__name__)
