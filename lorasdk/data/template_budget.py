"""What one rendering of a chat template may cost: processor time, characters, calls within calls.

It knows values of templates; it knows nothing of how a template is compiled.
"""

from __future__ import annotations

import time
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import NoReturn, TypeVar

from jinja2 import Undefined
from jinja2.exceptions import SecurityError

SECONDS = 1.0
"""Of this thread's processor time, so that a busy machine changes nothing. Real templates take a thousandth of it."""
SECONDS_EACH = 1e-5
"""So much more for each character of the conversation."""
CHARACTERS = 4_000_000
"""Of all texts and lists that a rendering makes on its way."""
CHARACTERS_EACH = 64
"""So many more for each character of the conversation: a template may copy and cut it a few dozen times."""
CALLS_DEEP = 60
"""Macros within macros; well before Python gives up."""
BITS = 4_096
"""Of a number: larger ones make arithmetic slow."""
STEPS_BETWEEN_LOOKS = 16
"""A look at the clock costs more than a step."""

_SCALARS = (bool, int, float, range, Undefined, type(None))
_SCALAR_CHARACTERS = 16
Item = TypeVar("Item")


class TemplateBoundError(SecurityError):
    """A rendering costs more than any conversation needs."""


class Budget:
    """What is left for one rendering, which asks at each of its steps."""

    def __init__(self, given: object) -> None:
        """Be as large as what is rendered deserves.

        Args:
            given: the conversation and its tools, as plain data.
        """
        self._unseen, self._depth, self._ends = STEPS_BETWEEN_LOOKS, 0, float("inf")
        self.left = 2**62
        size = self.weigh(given)
        self.left = CHARACTERS + CHARACTERS_EACH * size
        self._ends = time.thread_time() + SECONDS + SECONDS_EACH * size

    def step(self) -> None:
        """Count one step; raise `TemplateBoundError` when time is up."""
        self._unseen -= 1
        if self._unseen < 0:
            self._look()

    def take(self, characters: int) -> None:
        """Count characters that are made, or are about to be; a step too."""
        self._unseen -= 1
        self.left -= characters
        if self._unseen < 0 or self.left < 0:
            self._look()

    def _look(self) -> None:
        self._unseen = STEPS_BETWEEN_LOOKS
        if self.left < 0:
            refuse("it makes more text than any conversation needs")
        if time.thread_time() > self._ends:
            refuse(f"it takes more than {SECONDS:g} s of processor time")

    def deeper(self) -> None:
        """Count a call that is not over yet."""
        self._depth += 1
        if self._depth > CALLS_DEEP:
            refuse(f"its macros call each other more than {CALLS_DEEP} deep")

    def back(self) -> None:
        """A call is over."""
        self._depth -= 1

    def weigh(self, value: object) -> int:
        """Characters that `value` would about have as text, each part as often as it stands there.

        A list that holds a list twice, which holds another twice, is small in memory and endless as text.
        """
        total, rest = 0, [value]
        while rest:
            part = rest.pop()
            if isinstance(part, str | bytes):
                total += len(part)
            elif isinstance(part, Mapping):
                rest += [*part, *part.values()]
            elif isinstance(part, list | tuple):
                rest += part
            elif not isinstance(part, _SCALARS):
                raise SecurityError(f"a chat template cannot make text of {type(part).__name__}")
            total += _SCALAR_CHARACTERS + (part.bit_length() if isinstance(part, int) else 0)
            self.step()
            if total > self.left:
                refuse("it makes a larger value than any conversation needs")
        return total

    def made(self, value: object) -> None:
        """Count a value that an operation has made."""
        if isinstance(value, str):
            self.take(len(value))
        elif isinstance(value, list | tuple | dict):
            self.weigh(value)
            self.take(len(value))

    def whole(self, value: object) -> object:
        """A list, where `value` gives its items one by one."""
        if isinstance(value, Iterator | KeysView | ValuesView | ItemsView | range):
            return list(self.counted(iter(value)))
        return value

    def counted(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items, each a step and one character."""
        for item in items:
            self.take(1)
            yield item


def require_small(*numbers: object) -> None:
    """Raise `TemplateBoundError` for a number that makes arithmetic slow."""
    if any(isinstance(number, int) and number.bit_length() > BITS for number in numbers):
        refuse("it calculates with enormous numbers")


def refuse(why: str) -> NoReturn:
    """Raise `TemplateBoundError`."""
    raise TemplateBoundError(why)
