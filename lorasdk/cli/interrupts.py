"""Ctrl-C and SIGTERM during a run: the first asks it to stop and save, the second ends the program at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lorasdk.cli.output import errors_console
from lorasdk.errors import InferenceError
from lorasdk.stopping import ENDED_BY_SIGNAL, StopToken, stop_on_signals

TERMINATED = ENDED_BY_SIGNAL + signal.SIGTERM
"""Exit code of a program that was told to end by SIGTERM, also when it ended in its own good time."""


@contextmanager
def stop_on_interrupt() -> Iterator[StopToken]:
    """Give a token that Ctrl-C and SIGTERM throw; the program's own handlers are back after the block.

    Raises:
        Exit: at the end of the block, when SIGTERM was what threw it: whoever sent it looks for that code.
    """
    asked: list[signal.Signals] = []

    def heard(number: signal.Signals) -> None:
        asked.append(number)
        again = "press Ctrl-C again" if number == signal.SIGINT else "send it again"
        errors_console().print(f"stopping after this micro-batch; {again} to end at once")

    with stop_on_signals(heard=heard) as token:
        try:
            yield token
        except InferenceError as error:  # answers that were broken off are no fault of their own
            if signal.SIGTERM not in asked or error.code != "inference.stopped":
                raise
    if signal.SIGTERM in asked:
        raise typer.Exit(TERMINATED)
