"""What a run has announced so far and how it ended: written by the one thread that follows it, read by any."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lorasdk.events import Event, RunStarted, StepFinished
from lorasdk.results import TrainResult

logger = logging.getLogger(__name__)

Outcome = TrainResult | BaseException


class Chronicle:
    """Keeps every event, so that whoever asks late still hears all of them; wakes those who wait for the next."""

    def __init__(self, observer: Callable[[Event], None] | None = None) -> None:
        self.outcome: Outcome | None = None
        self.run_dir: Path | None = None
        self.step = 0
        self._observer = observer
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], None]] = []

    def announce(self, event: Event) -> None:
        """Take in an event; an observer that raises is logged and the work goes on."""
        if isinstance(event, RunStarted):
            self.run_dir = event.run_dir
        elif isinstance(event, StepFinished):
            self.step = event.step
        with self._changed:
            self._events.append(event)
            self._wake()
        if self._observer is not None:
            try:
                self._observer(event)
            except Exception:  # an observer must not be able to stop the work it observes
                logger.exception("on_event failed at %s", type(event).__name__)

    def finish(self, outcome: Outcome) -> None:
        """Say how it ended; nothing is announced after that."""
        with self._changed:
            self.outcome = outcome
            self._wake()

    def knows(self, number: int) -> bool:
        """Whether event `number`, from 0, was announced, or never will be."""
        return number < len(self._events) or self.outcome is not None

    def event(self, number: int) -> Event | None:
        """Wait for event `number`; None when the run ended before it."""
        with self._changed:
            self._changed.wait_for(lambda: self.knows(number))
            return self._events[number] if number < len(self._events) else None

    @contextmanager
    def waking(self, waker: Callable[[], None]) -> Iterator[None]:
        """Call `waker`, which must not block, at each change inside the block."""
        with self._changed:
            self._wakers.append(waker)
        try:
            yield
        finally:
            with self._changed:
                self._wakers.remove(waker)

    def _wake(self) -> None:
        self._changed.notify_all()
        for waker in self._wakers:
            waker()
