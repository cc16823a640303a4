"""When a place in the queue will be free again, as far as the last answers tell."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

REMEMBERED = 64
"""Answers whose ends are remembered."""
UNKNOWN_SECONDS = 1.0
"""What is said before enough answers have ended to know."""
LONGEST_SECONDS = 60.0
"""OpenAI's client does not wait for more than two minutes at all."""


class Patience:
    """Promises each client that is sent away a place of its own: one for every answer that will have ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: deque[float] = deque(maxlen=REMEMBERED)
        self._promised = 0.0

    def ended(self, count: int = 1) -> None:
        """Answers ended, and made room."""
        self._ends.extend([self._clock()] * count)

    def seconds(self) -> float:
        """How long the next client should wait before it asks again."""
        now = self._clock()
        self._promised = max(now, self._promised) + self._interval(now)
        return min(self._promised - now, LONGEST_SECONDS)

    def _interval(self, now: float) -> float:
        """Seconds from one end to the next; the time since the last one counts, for answers may have become longer."""
        between = len(self._ends) - 1
        if between < 1:
            return UNKNOWN_SECONDS
        mean = (self._ends[-1] - self._ends[0]) / between
        return max(mean, (now - self._ends[-1]) / len(self._ends))
