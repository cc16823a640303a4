"""The handle of a training that goes on while its host does something else."""

from __future__ import annotations

import atexit
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from lorasdk.background.chronicle import Chronicle, Outcome
from lorasdk.background.run_events import RunEvents
from lorasdk.errors import LorasdkError
from lorasdk.results import TrainResult
from lorasdk.stopping import StopToken

Status: TypeAlias = Literal["running", "stopping", "finished", "stopped", "failed"]

EXIT_GRACE_SECONDS = 60.0
"""How long a program that ends waits for its run to save."""


class Run:
    """A training under way: watch it, stop it, wait for it. `FineTuner.start` gives one.

    It may be used from any thread, and it remembers every event. A `Run` that is dropped goes on; keep it, or its
    `StopToken`, to stop it. A program that ends asks its runs to stop and save, and waits up to a minute for that.
    """

    def __init__(self, chronicle: Chronicle, stop: StopToken, thread: threading.Thread) -> None:
        """Not for callers: `FineTuner.start` gives one."""
        self._chronicle, self._stop, self._thread = chronicle, stop, thread

    @property
    def status(self) -> Status:
        """``running``; ``stopping``: asked to stop and not there yet; ``finished``; ``stopped``; ``failed``.

        A run that stopped early by the recipe's own rule is ``finished``.
        """
        outcome = self._chronicle.outcome
        if outcome is None:
            return "stopping" if self._stop.stopped else "running"
        if isinstance(outcome, TrainResult):
            return "stopped" if outcome.stopped == "requested" else "finished"
        return "stopped" if isinstance(outcome, LorasdkError) and outcome.code == "run.abandoned" else "failed"

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run; None until it has one."""
        return self._chronicle.run_dir

    def events(self) -> RunEvents:
        """All events from the first on, for ``for`` and ``async for``; ends with the run, however it ends."""
        return RunEvents(self._chronicle)

    def stop(self, save: bool = True) -> None:
        """Ask the run to stop, within one micro-batch, and return at once.

        Args:
            save: keep what was learnt so far. With False the run leaves no adapter, and `result` raises.
        """
        self._stop.stop(save)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run is over and nothing of it is left in this program; whether it is.

        Args:
            timeout: seconds; None waits as long as it takes.
        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def result(self, timeout: float | None = None) -> TrainResult:
        """Wait for the run and give what `FineTuner.train` would have given.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            LorasdkError: what `FineTuner.train` would have raised. In a process of its own also a `ResourceError` with
                the code ``run.killed`` and a `TrainingError` with ``run.crashed``; after ``stop(save=False)`` a
                `TrainingError` with ``run.abandoned``.
            TimeoutError: it is not over yet.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"the run is not over after {timeout} seconds")
        outcome = self._chronicle.outcome
        if isinstance(outcome, BaseException):
            raise outcome
        assert outcome is not None
        return outcome


def begin(work: Callable[[], TrainResult], held: ExitStack, *, chronicle: Chronicle, stop: StopToken) -> Run:
    """Do `work` in a thread of its own, let go of what is held for it, and tell the chronicle how it ended."""
    # A daemon, because Python waits for other threads before anybody could ask them to stop.
    thread = threading.Thread(target=lambda: _follow(work, held, chronicle, at_exit), name="lorasdk-run", daemon=True)
    at_exit = partial(_stop_and_wait, stop, thread)
    atexit.register(at_exit)
    try:
        thread.start()
    except RuntimeError:  # the system gives no thread
        atexit.unregister(at_exit)
        held.close()
        raise
    return Run(chronicle, stop, thread)


def _follow(
    work: Callable[[], TrainResult], held: ExitStack, chronicle: Chronicle, at_exit: Callable[[], None]
) -> None:
    outcome: Outcome
    try:
        with held:
            outcome = work()
    except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
        _forget_locals(error)
        outcome = error
    atexit.unregister(at_exit)
    chronicle.finish(outcome)


def _stop_and_wait(stop: StopToken, thread: threading.Thread) -> None:
    stop.stop()
    thread.join(EXIT_GRACE_SECONDS)


def _forget_locals(error: BaseException | None) -> None:
    """Let go of what the frames of a failure still hold: a kept handle must not keep the model in memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
