"""What a pattern of a recipe may cost: a recipe is data, and data must not hold a host up or fill its memory.

Python's ``re`` cannot be interrupted; the library ``regex`` takes the same patterns and a limit of time. It copies what
stands before ``{n}`` n times, and calls of a pattern within itself take memory without end: the former is bounded here,
the latter refused.
"""

from __future__ import annotations

import re
from collections import deque
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regex import Match, Pattern

MOST_CHARACTERS = 1000
"""Of a pattern."""
MOST_COPIES = 1_000_000
"""Characters of the pattern times all its counts {n}, a bound of what its compiled form holds."""
SECONDS = 1.0
"""Of the process's processor time, for one text; a pattern that is not a trap takes a thousandth of it."""
COUNT = re.compile(r"\{(\d+)")
CALL = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:R|[-+]?\d|&|P>)")


def compiled(text: str) -> Pattern[str]:
    """Compile a pattern.

    Raises:
        ValueError: it is none, or it could take more time or memory than a pattern may.
    """
    import regex

    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the pattern has {len(text)} characters; at most {MOST_CHARACTERS} are allowed")
    if CALL.search(text):
        raise ValueError("the pattern calls itself, as by (?R) or (?1), which can take memory without end")
    if len(text) * prod(max(1, int(count)) for count in COUNT.findall(text)) > MOST_COPIES:
        raise ValueError("the pattern's counts {n} multiply to too many copies; write + or *, or smaller counts")
    try:
        return regex.compile(text, flags=regex.VERSION0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the pattern does not compile: {error}") from error


def match(pattern: Pattern[str], text: str, *, whole: bool = False, last: bool = False) -> Match[str] | None:
    """Look for the pattern in `text`: the first place, the last place, or the text as a whole. Other threads go on.

    Raises:
        TimeoutError: it is not found or given up within a second of processor time.
    """
    if whole:
        return pattern.fullmatch(text, timeout=SECONDS, concurrent=True)
    if not last:
        return pattern.search(text, timeout=SECONDS, concurrent=True)
    found = deque(pattern.finditer(text, timeout=SECONDS, concurrent=True), maxlen=1)
    return found[0] if found else None
