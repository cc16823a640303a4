"""The host's side of a run in a process of its own: starts it, hears it, passes a stop on, says how it ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Self

from lorasdk.background.chronicle import Chronicle
from lorasdk.background.line_buffer import CHUNK, LineBuffer
from lorasdk.background.refusals import crashed, killed, no_processes_here, not_started
from lorasdk.errors import ResourceError, TrainingError
from lorasdk.events import Event
from lorasdk.records import Record, error_of, event_of, read_line, result_of
from lorasdk.results import TrainResult
from lorasdk.stopping import StopToken

LOOK_SECONDS = 0.1
"""How long a stop may wait until it is passed on."""
EXIT_SECONDS = 30.0
"""How long the process may take to end after it said how its run ended."""
TAIL_BYTES = 4_000
"""How much of what a process wrote is kept for the error."""
STOP, ABANDON = b"stop\n", b"abandon\n"


class ChildProcess:
    """A process that trains. Leave its ``with`` block and nothing of it is left: no process, no pipe."""

    def __init__(self, job: bytes, rows: BinaryIO) -> None:
        """Start it; `rows` is handed over and closed here.

        Raises:
            TrainingError: this platform gives no such process.
            ResourceError: the system refuses one.
        """
        self._job = job
        self._told: list[bytes] = []
        self._outcome: Record | None = None
        self._tail = b""
        with rows:
            _require_processes()
            self._events, writes = os.pipe()
            try:
                self._process = _started(writes, rows.fileno())
            except OSError as error:
                os.close(self._events)
                raise ResourceError(not_started(error)) from error
            finally:
                os.close(writes)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._output = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # it is gone and hears nothing any more
            self._requests.close()
        self._end()
        self._output.close()
        os.close(self._events)

    def follow(self, chronicle: Chronicle, stop: StopToken) -> TrainResult:
        """Announce what the process announces, until it ends.

        Raises:
            LorasdkError: what the training raised, or how the process ended if it could not say.
        """
        self._tell(self._job)
        self._listen(chronicle.announce, stop)
        self._end()
        if self._outcome is None:
            raise self._death(chronicle)
        if "error" in self._outcome:
            raise error_of(self._outcome)
        return result_of(self._outcome)

    def _listen(self, announce: Callable[[Event], None], stop: StopToken) -> None:
        """Until the events end, or the process did and somebody it started holds its pipe open."""
        buffer = LineBuffer()
        with selectors.DefaultSelector() as selector:
            selector.register(self._events, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while self._events in {key.fd for key in selector.get_map().values()}:
                ready = selector.select(LOOK_SECONDS)
                for key, _ in ready:
                    chunk = os.read(key.fd, CHUNK)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.fd == self._events:
                        self._hear(buffer.lines(chunk), announce)
                    else:
                        self._tail = (self._tail + chunk)[-TAIL_BYTES:]
                self._pass_on(stop)
                if not ready and self._process.poll() is not None:
                    return

    def _hear(self, lines: list[bytes], announce: Callable[[Event], None]) -> None:
        for line in lines:
            record = read_line(line)
            if "event" not in record:
                self._outcome = record
            elif (event := event_of(record)) is not None:
                announce(event)

    def _pass_on(self, stop: StopToken) -> None:
        if stop.stopped:
            request = STOP if stop.saving else ABANDON
            if request not in self._told:
                self._told.append(request)
                self._tell(request)

    def _tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError):  # it is gone, and how it ended will be seen
            self._requests.write(line)
            self._requests.flush()

    def _end(self) -> None:
        """Wait until the process is gone; one that does not go is killed."""
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _death(self, chronicle: Chronicle) -> TrainingError | ResourceError:
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return ResourceError(killed(chronicle.run_dir, chronicle.step))
        how = f"exit code {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
        return TrainingError(crashed(how, self._last_words(), chronicle.run_dir))

    def _last_words(self) -> str:
        os.set_blocking(self._output.fileno(), False)
        with suppress(BlockingIOError):  # somebody it started holds it open
            while chunk := os.read(self._output.fileno(), CHUNK):
                self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        return self._tail.decode("utf-8", "replace").strip()


def _require_processes() -> None:
    if os.name != "posix" or not sys.executable:
        raise TrainingError(no_processes_here(f"{sys.platform}, {sys.executable or 'a Python without a program'}"))


def _started(events: int, rows: int) -> subprocess.Popen[bytes]:
    # Not multiprocessing, which imports the host's program a second time. -P: a folder that the host happens to stand
    # in is no place to import from. The host's sys.path is, or else its plugins would not be found.
    program = [sys.executable, "-P", "-X", "faulthandler", "-m", "lorasdk.background.child", str(events), str(rows)]
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - as the import system says it
    return subprocess.Popen(  # noqa: S603 - our own module
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(events, rows),
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C in a terminal is for the host, which decides what it means
    )
