"""Writes numbers the way people read them; the exact ones stay in ``report.json``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

MINUS = "\N{MINUS SIGN}"
MINUTE = 60
"""Seconds of a minute, and minutes of an hour."""
SMALLEST_P = 0.001
LARGE, SMALL = 1000, 0.001


def percent(share: float) -> str:
    """A share of 0 to 1."""
    return _signed(f"{100 * share:.1f}%")


def confidence(share: float) -> str:
    """A share that somebody chose, without digits that say nothing."""
    return f"{100 * share:g}%"


def small_percent(share: float) -> str:
    """A share that is far below one in a hundred."""
    return f"{100 * share:.2f}%" if share == 0 or share >= SMALL / 10 else f"{100 * share:.2g}%"


def points(difference: float) -> str:
    """A difference of shares, in percentage points, with its sign."""
    return _signed(f"{100 * difference:+.1f}")


def number(value: float) -> str:
    """Any number, about three digits of it."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: f"{MINUS}∞"}.get(value, "no number")
    size = abs(value)
    if size >= LARGE:
        return _signed(f"{value:,.0f}") if size < LARGE**3 else _signed(f"{value:.3g}")
    if size == 0 or SMALL <= size < 1:
        return _signed(f"{value:.3f}")
    return _signed(f"{value:.2f}" if 1 <= size < 10 else f"{value:.3g}")  # noqa: PLR2004 - three digits


def difference(value: float) -> str:
    """A difference of numbers, with its sign."""
    return number(value) if value <= 0 or not math.isfinite(value) else f"+{number(value)}"


def count(value: float) -> str:
    """How many."""
    return f"{value:,.0f}"


def probability(value: float) -> str:
    """A p-value, with its relation."""
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"= {value:.3f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if round(seconds, 1) < MINUTE or not math.isfinite(seconds):
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), MINUTE)
    if minutes < MINUTE:
        return f"{minutes} min {rest} s"
    return "{} h {} min".format(*divmod(round(seconds / MINUTE), MINUTE))


def memory(size: float) -> str:
    """Bytes, in decimal units."""
    units = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
    unit, worth = next(((name, worth) for name, worth in units if size >= worth), ("bytes", 1.0))
    return f"{size / worth:.1f} {unit}" if worth > 1 else f"{size:.0f} bytes"


FORMATS: Mapping[str, Callable[[float], str]] = {
    each.__name__: each
    for each in (percent, confidence, small_percent, points, number, difference, count, probability, duration, memory)
}
"""By the names that the templates use."""


def _signed(text: str) -> str:
    return text.replace("-", MINUS)
