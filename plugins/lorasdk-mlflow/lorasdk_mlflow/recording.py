"""One run while it is recorded: a thread between the training, which never waits, and the process that may."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress

from lorasdk_mlflow.backlog import Backlog
from lorasdk_mlflow.child_process import ChildProcess, Report
from lorasdk_mlflow.commands import AnyCommand, Close, Describe
from lorasdk_mlflow.options import TrackingOptions

logger = logging.getLogger("lorasdk_mlflow")

THREAD = "lorasdk-mlflow"
KILL_SECONDS = 5.0
"""How long a thread may take whose process was killed."""


class Recording:
    """Takes commands at once and has them done behind the training's back; a warning says what could not be done."""

    def __init__(self, options: TrackingOptions, *, label: str, server: str) -> None:
        """Begin.

        Args:
            options: where, and within which bounds.
            label: what a warning calls the run.
            server: what a warning calls the server.
        """
        self._seconds = options.flush_seconds
        self._backlog = Backlog(options.pending_values, options.batch_seconds)
        self._process = ChildProcess(options)
        arguments = (self._backlog, self._process, label, server)
        self._thread = threading.Thread(target=_feed, args=arguments, name=THREAD, daemon=True)
        self._thread.start()
        # A run whose end nobody announces, for its observer is gone, must not leave a thread of ours behind.
        weakref.finalize(self, self._backlog.close)

    def add(self, commands: Iterable[AnyCommand]) -> None:
        """Have commands done; never waits and never fails."""
        for command in commands:
            dropped = self._backlog.dropped
            if dropped and isinstance(command, Close):
                self._backlog.put([Describe(tags={"lorasdk.dropped_values": str(dropped)})], always=True)
            self._backlog.put([command])

    def abandon(self) -> None:
        """Begin no more; what was added is still done, without anybody waiting."""
        self._backlog.close()

    def finish(self) -> None:
        """Wait until everything is done, but no longer than the options say; no thread and no process is left."""
        self._backlog.close()
        self._thread.join(self._seconds)
        if self._thread.is_alive():
            self._process.kill(f"not everything was sent within {self._seconds:g} s")
            self._thread.join(KILL_SECONDS)


def _feed(backlog: Backlog, process: ChildProcess, label: str, server: str) -> None:
    report = _fed(backlog, process)
    backlog.close()
    if report.problem:
        logger.warning("%s is no longer logged to MLflow at %s: %s", label, server, report.problem)
        return
    if report.artifacts:
        logger.warning("%s is logged to MLflow at %s without its artifacts: %s", label, server, report.artifacts)
    if backlog.dropped:
        slow = "%d values of %s were not logged to MLflow at %s, which takes them more slowly than they come"
        logger.warning(slow, backlog.dropped, label, server)


def _fed(backlog: Backlog, process: ChildProcess) -> Report:
    """Hand everything over and hear how it went."""
    try:
        process.start()
    except OSError as error:
        return Report(f"its process cannot be started: {error}")
    with suppress(OSError):  # the pipe is broken: it ended, and its report says why
        while commands := backlog.take():
            for command in commands:
                process.send(command)
    return process.finish()
