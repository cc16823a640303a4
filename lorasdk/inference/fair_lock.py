"""A lock that is given in the order in which it was asked for.

Python's own may be taken again at once by the thread that has just let go of it, so that a scheduler, which wants the
model for every token, would keep it from everybody else.
"""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """Enter it; not reentrant."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        """Wait for one's turn."""
        with self._changing:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:
            self._give_up(turn)
            raise

    def __exit__(self, *_error: object) -> None:
        """Hand it to whoever has waited longest."""
        with self._changing:
            self._pass_on()

    def _give_up(self, turn: threading.Lock) -> None:
        """Leave the queue, for instance by Ctrl-C; whoever was given the lock meanwhile hands it on."""
        with self._changing:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._held = False
