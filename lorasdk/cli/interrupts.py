"""Ctrl-C during a run: the first asks it to stop and save, the second ends the program."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lorasdk.cli.output import errors_console
from lorasdk.stopping import StopToken


@contextmanager
def stop_on_interrupt() -> Iterator[StopToken]:
    """Give a token that Ctrl-C throws; the program's own handler is back after the block."""
    token = StopToken()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if token.stopped:
            raise KeyboardInterrupt
        errors_console().print("stopping after this micro-batch; press Ctrl-C again to end at once")
        token.stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)
