"""How a host asks running work to stop: from its code, by a rule of its own, or by a signal."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from lorasdk.errors import Problem, TrainingError

logger = logging.getLogger(__name__)

ENDED_BY_SIGNAL = 128
"""What shells add to a signal's number when it ended a program."""


class StopRequestedError(Exception):
    """Unwinds work that the host no longer wants, down to where it began; it never reaches the host."""


class StopToken:
    """A switch that the host throws, from any thread, and that running work looks at between micro-batches.

    Example:
        >>> token = StopToken()
        >>> token.stopped
        False
        >>> token.stop()
        >>> token.stopped, token.saving
        (True, True)

    Args:
        when: asked before each micro-batch until it says True, which is a `stop`. For a cloud's notice that the machine
            will be taken away, a deadline, a file that appears. It is called in the working thread and must be cheap:
            let a thread of your own ask a network and read its answer here. If it raises, that is logged once and
            counts as False.
    """

    # Plain attributes instead of a `threading.Event`: its lock would deadlock with a second signal's handler.

    def __init__(self, when: Callable[[], bool] | None = None) -> None:
        self._when = when
        self._stopped, self._saving, self._told = False, True, False

    def stop(self, save: bool = True) -> None:
        """Ask the work to stop.

        Args:
            save: keep what was learnt so far, as an adapter and a checkpoint. With False the run leaves no adapter,
                and raises a `TrainingError` with the code ``run.abandoned``. Once said, False stays.
        """
        self._saving = self._saving and save
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called or `when` said so."""
        if not self._stopped and self._when is not None:
            self._stopped = self._asked(self._when)
        return self._stopped

    @property
    def saving(self) -> bool:
        """Whether work that stops keeps what was learnt so far."""
        return self._saving

    def check(self) -> None:
        """Leave work that is no longer wanted.

        Raises:
            StopRequestedError: the token is stopped; whoever began the work catches it.
        """
        if self.stopped:
            raise StopRequestedError

    def _asked(self, when: Callable[[], bool]) -> bool:
        try:
            return bool(when())
        except Exception:  # the host's own code must not end the run by accident
            if not self._told:
                self._told = True
                logger.exception("StopToken(when=…) failed; taken as False")
            return False


@contextmanager
def stop_on_signals(
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    *,
    heard: Callable[[signal.Signals], None] | None = None,
) -> Iterator[StopToken]:
    """Give a token that is stopped by the first of these signals; the host's own handlers are back after the block.

    A second signal does not wait any longer: SIGINT raises `KeyboardInterrupt`, any other `SystemExit` with 128 and
    its number, both in the main thread.

    Args:
        signals: which signals ask for a stop.
        heard: called with the first signal, inside its handler.

    Raises:
        TrainingError: this is not the main thread, which alone may handle signals; or a handler is installed that
            Python could not put back.
    """
    token = StopToken()
    asked: list[signal.Signals] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(ENDED_BY_SIGNAL + number)
        asked.append(signal.Signals(number))
        token.stop()
        if heard is not None:
            heard(asked[0])

    before = _own_handlers(signals)
    try:
        for number in signals:
            signal.signal(number, handle)
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


Handler = Callable[[int, FrameType | None], object] | int


def _own_handlers(signals: Sequence[signal.Signals]) -> dict[signal.Signals, Handler]:
    """The handlers of now.

    Raises:
        TrainingError: they could not be set, or not be put back.
    """
    if threading.current_thread() is not threading.main_thread():
        raise TrainingError(_not_in_the_main_thread())
    handlers = {number: signal.getsignal(number) for number in signals}
    foreign = [number.name for number, handler in handlers.items() if handler is None]
    if foreign:
        raise TrainingError(_foreign_handlers(foreign))
    return {number: handler for number, handler in handlers.items() if handler is not None}


def _not_in_the_main_thread() -> Problem:
    return Problem(
        code="stop.not-in-main-thread",
        message="signals can only be handled in a program's main thread",
        found=f"the thread {threading.current_thread().name!r}",
        allowed="the main thread",
        fix="open stop_on_signals() in the main thread and hand its token over, or call token.stop() yourself",
    )


def _foreign_handlers(names: Sequence[str]) -> Problem:
    return Problem(
        code="stop.foreign-handler",
        message="a handler that Python did not install could not be put back",
        found=", ".join(names),
        allowed="signals whose handler is Python's own",
        fix="leave these signals out, and call token.stop() from that handler's own code",
    )
