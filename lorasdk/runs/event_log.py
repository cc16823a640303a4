"""Keeps a run's events in a file, one JSON object on each line, and reads them back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from lorasdk.errors import DataError, LorasdkError
from lorasdk.events import Emit, Event, RunFailed
from lorasdk.records import event_of, event_record, read_line, record_line

logger = logging.getLogger(__name__)

EVENTS = "events.jsonl"
"""Name of the file in a run's folder."""


class EventLog:
    """An observer that appends events to a file, each as soon as it happens; use it in a ``with`` block.

    What is in the file already stays: a run that is taken up again goes on below. A disk that refuses is logged once,
    then nothing more is written; the run goes on, since an observer must not be able to stop the work it observes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("a+b", buffering=0)
            self._file.write(_line_break(self._file))
        except OSError as error:
            self._give_up(error)
        return self

    def __call__(self, event: Event) -> None:
        """Append one event."""
        if self._file is None:
            return
        line = (record_line(event_record(event)) + "\n").encode("ascii")
        try:
            written = self._file.write(line)
        except OSError as error:
            self._give_up(error)
        else:
            if written != len(line):
                self._give_up("the disk took only part of a line")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # unbuffered: every byte was written before
                file.close()

    def _give_up(self, why: object) -> None:
        logger.warning("events are no longer written to %s: %s", self.path, why)
        self.__exit__(None, None, None)


@contextmanager
def announced(log: EventLog, emit: Emit) -> Iterator[Emit]:
    """Announce to the file, then to the observers; also that the work inside failed, so that no reader need guess.

    The file comes first, so that an observer that reads it finds what it is told.
    """

    def announce(event: Event) -> None:
        log(event)
        emit(event)

    try:
        yield announce
    except LorasdkError as error:
        announce(RunFailed(error.code, str(error)))
        raise
    except BaseException as error:  # Ctrl-C too: a run that is over must not look as if it went on
        announce(RunFailed(type(error).__name__, str(error)))
        raise


def read_events(path: str | os.PathLike[str]) -> Iterator[Event]:
    """Read the events of a run from its ``events.jsonl``, in order.

    Events that this release does not know are left out, and so are lines that are none: a process that was killed may
    have written half of one.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        for line in file:
            try:
                event = event_of(read_line(line))
            except DataError:
                continue
            if event is not None:
                yield event


def _line_break(file: BinaryIO) -> bytes:
    """What ends a line that a killed process left unfinished."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"
