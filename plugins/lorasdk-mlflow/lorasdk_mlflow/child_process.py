"""The training program's side of the process that speaks to MLflow: starts it, writes to it, hears how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorasdk_mlflow.commands import AnyCommand, command_line
from lorasdk_mlflow.options import TrackingOptions

QUIET: Mapping[str, str] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A busy server may ask for any pause it likes.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
}
"""Environment of the process, over that of the program. The program's own is left as it is."""
EXIT_SECONDS = 10.0
"""How long the process may take to end after it said how it went."""


@dataclass(frozen=True)
class Report:
    """How it went; nothing went wrong where nothing is said."""

    problem: str = ""
    """What ended the recording."""
    artifacts: str = ""
    """What kept artifacts from being stored."""


class ChildProcess:
    """One process; used by the thread that writes, but for `kill`."""

    def __init__(self, options: TrackingOptions) -> None:
        self._environment = _environment(options)
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed_because = ""

    def start(self) -> None:
        """Start it, unless it was killed before.

        Raises:
            OSError: the system gives no process.
        """
        with self._starting:
            if not self._killed_because:
                self._process = _started(self._environment)

    def send(self, command: AnyCommand) -> None:
        """Hand a command over; waits while the process is busy with earlier ones.

        Raises:
            BrokenPipeError: the process ended; `finish` says why.
        """
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError
        self._process.stdin.write(command_line(command))
        self._process.stdin.flush()

    def finish(self) -> Report:
        """Wait until it did everything and is gone."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return Report(self._killed_because)
        with suppress(OSError):  # it is gone, and its report says why
            process.stdin.close()
        report = process.stdout.read()
        process.stdout.close()
        try:
            process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return Report(self._killed_because) if self._killed_because else _report(report, process.returncode)

    def kill(self, because: str) -> None:
        """End it at once, from any thread; `finish` then gives `because`."""
        with self._starting:
            self._killed_because = because
            if self._process is not None:
                self._process.kill()


def _environment(options: TrackingOptions) -> dict[str, str]:
    bounds = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(options.retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(options.request_seconds),
    }
    # What this program can import, the process can import too.
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - as the import system says it
    return {**os.environ, **QUIET, **bounds, "PYTHONPATH": paths}


def _started(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # Inside another program (a frozen application, a web server) this may be that program, which must not start again.
    if not any(name in Path(sys.executable).name.lower() for name in ("python", "pypy")):
        raise OSError(f"this Python has no program of its own to start: {sys.executable!r}")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lorasdk_mlflow.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the program; what it learnt is still to be told
    )


def _report(told: bytes, exit_code: int) -> Report:
    try:
        return Report(**json.loads(told))
    except ValueError:
        return Report(f"its process ended with exit code {exit_code}")
