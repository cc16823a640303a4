"""A run's own process: ``python -m lorasdk.background.child``. It trains once and tells its host about it.

The job comes as one line on standard input, requests to stop as further ones. When standard input ends, the host is
gone: what was learnt is saved. Events and the outcome go out as JSON lines through a pipe of their own, so that nothing
a library prints can be taken for one.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

from lorasdk.background.child_process import ABANDON
from lorasdk.background.job import Job, read_rows
from lorasdk.background.line_buffer import lines_of
from lorasdk.background.own_process import keep_freed_memory
from lorasdk.errors import LorasdkError
from lorasdk.plugins import build_manager
from lorasdk.records import Record, error_record, event_record, record_line, result_record
from lorasdk.stopping import StopToken, stop_on_signals
from lorasdk.tuner.opening import open_recipe
from lorasdk.tuner.training import train


def main() -> None:
    """Do the job on standard input and end."""
    keep_freed_memory()
    events, rows = (int(argument) for argument in sys.argv[1:])
    for descriptor in (events, rows):
        os.set_inheritable(descriptor, False)
    host = lines_of(sys.stdin.fileno())
    line = next(host, None)
    if line is None:  # the host was gone before it could say what to do
        return
    with stop_on_signals() as stop:
        threading.Thread(target=_obey, args=(host, stop), name="lorasdk-host", daemon=True).start()
        _tell(events, _outcome(Job.read(line), events, rows, stop))
    os.close(events)  # told all there is, whatever this process still has to tidy up


def _outcome(job: Job, events: int, rows: int, stop: StopToken) -> Record:
    try:
        with os.fdopen(rows, "rb") as file:
            handed_over = read_rows(file, job.rows)
        plugins = [reference.plugin() for reference in job.plugins]
        manager = build_manager(plugins, discover=job.discover, blocked=job.blocked, allowed=job.allowed)
        state = open_recipe(job.recipe, manager, rows=handed_over, trust_remote_code=job.trust_remote_code)
        emit = state.emitter(lambda event: _tell(events, event_record(event)))
        return result_record(train(state, emit, stop, job.options))
    except LorasdkError as error:
        return error_record(error)


def _obey(host: Iterator[bytes], stop: StopToken) -> None:
    for line in host:
        stop.stop(save=line != ABANDON.strip())
    stop.stop()


def _tell(descriptor: int, record: Record) -> None:
    line = memoryview((record_line(record) + "\n").encode("ascii"))
    with suppress(BrokenPipeError):  # the host is gone; the end of standard input says so too
        while line:
            line = line[os.write(descriptor, line) :]


if __name__ == "__main__":
    main()
