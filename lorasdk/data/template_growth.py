"""What a chat template may call, and how large that can make a value out of small ones.

Anything that is not named here does not exist for a template. Left out on purpose: what fills up to a width
(``center``, ``batch``, ``zfill``), what takes quadratic time (``wordwrap``, ``striptags``, ``urlize``), and what draws
from the host's random numbers (``random``, ``lipsum``).
"""

from __future__ import annotations

import re

from lorasdk.data.template_budget import Budget, refuse


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


SEQUENCES = _names(
    "attr count d default dictsort first groupby items last length list map max min reject rejectattr reverse select "
    "selectattr sort sum unique"
)
"""Filters that choose and order, and make no text."""
TEXTS = _names(
    "abs capitalize e escape float format indent int join lower replace round safe string title tojson trim truncate "
    "upper wordcount"
)
"""Filters whose result is a few times as long as what they are given, save for the growth below."""
METHODS = _names(
    "capitalize casefold copy count endswith find format get index is_integer isalnum isalpha isascii isdecimal "
    "isdigit islower isnumeric isspace istitle isupper items join keys lower lstrip partition removeprefix "
    "removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase title "
    "upper values"
)
"""Methods of texts, numbers, lists and mappings."""
WIDTH = 1_000
"""To which a format may fill up."""

_FORMAT_FIELD = re.compile(r"%[^a-zA-Z%]*|\{[^{}]*")
_TOO_WIDE = re.compile(r"\d{4}|\*|\{[^{}]*\{")


def text_growth(budget: Budget, name: str, text: object, arguments: tuple[object, ...]) -> int:
    """Characters that a filter or method makes beyond a few times those it is given."""
    match name, arguments:
        case "replace", (old, new, *_):
            return (str(text).count(str(old)) if str(old) else len(str(text)) + 1) * len(str(new))
        case "join", (given, *_) if isinstance(text, str):
            return budget.weigh(given) + len(text) * _count(given)
        case "join", (separator, *_):
            return len(str(separator)) * _count(text)
        case "indent", (width, *_):
            return (str(text).count("\n") + 1) * _width(width)
        case "tojson", _:
            return 5 * budget.weigh(text) + budget.weigh(text) * max(map(_width, arguments), default=0)
        case "format", _:
            return format_growth(budget, str(text), arguments)
    return 0


def format_growth(budget: Budget, form: str, arguments: object) -> int:
    """Characters that ``%`` or `str.format` makes.

    Raises:
        TemplateBoundError: a field is filled up to more than `WIDTH`, or to a width that is computed.
    """
    if _TOO_WIDE.search(form):
        refuse(f"a format fills up to more than {WIDTH:,} characters")
    return len(_FORMAT_FIELD.findall(form)) * (WIDTH + 6 * budget.weigh(arguments))


def _width(value: object) -> int:
    """Of an indentation, which is a number or a text."""
    return len(value) if isinstance(value, str) else value if isinstance(value, int) else 0


def _count(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0
