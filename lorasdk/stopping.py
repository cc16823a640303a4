"""How a host asks running work to stop."""

from __future__ import annotations

import threading


class StopToken:
    """A switch that the host throws, from any thread, and that running work looks at between micro-batches.

    Example:
        >>> token = StopToken()
        >>> token.stopped
        False
        >>> token.stop()
        >>> token.stopped
        True
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask the work to stop; calling it again changes nothing."""
        self._event.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._event.is_set()
