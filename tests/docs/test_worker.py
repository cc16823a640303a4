"""The worker of the documentation: killed, asked to end, told to cancel, and the job is done once to the same bits."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from filelock import FileLock
from one_job import DOCS, ROWS, STEPS, example, job, weights

from lorasdk import CheckpointSaved, Event, RunStarted, StepFinished, StopToken, read_events


@pytest.fixture
def jobs(tiny_model_dir: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    (folder / "tickets.json").write_text(json.dumps(job(tiny_model_dir, tmp_path / "runs")), "utf-8")
    return folder


@contextmanager
def worker(jobs: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, DOCS / "examples" / "worker.py", jobs]) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(fulfilled: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not fulfilled():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def events(jobs: Path) -> list[Event]:
    with suppress(FileNotFoundError):
        return list(read_events(jobs.parent / "runs" / "tickets" / "run-0001" / "events.jsonl"))
    return []


def starts(jobs: Path) -> list[int]:
    """Steps that were taken already, each time a worker took the job."""
    return [event.resumed_from for event in events(jobs) if isinstance(event, RunStarted)]


def is_under_way(jobs: Path, times: int, kind: type[Event] = StepFinished) -> bool:
    """Whether the job was taken so many times, and something of this kind has happened since."""
    return len(starts(jobs)) == times and isinstance(events(jobs)[-1], kind)


def test_a_job_outlives_workers_that_are_killed_and_that_are_asked_to_end(jobs: Path, undisturbed: str):
    ticket, runs = jobs / "tickets.json", jobs.parent / "runs" / "tickets"
    (jobs / "broken.json").write_text("{", "utf-8")
    with worker(jobs) as first:
        wait_until(lambda: is_under_way(jobs, 1, CheckpointSaved) or len(events(jobs)) > 40)
        first.send_signal(signal.SIGKILL)
    assert ticket.is_file()
    assert not (runs / "run-0001" / "adapter").exists()
    assert (jobs / "failed" / "broken.json").is_file()
    assert "broken.json" in (jobs / "broken.error").read_text("utf-8")
    with worker(jobs) as second:
        wait_until(lambda: is_under_way(jobs, 2))
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    assert ticket.is_file()
    assert (runs / "run-0001" / "adapter").is_dir()
    with worker(jobs) as third:
        wait_until(lambda: is_under_way(jobs, 3))
        (jobs / "tickets.cancel").touch()
        wait_until(lambda: not ticket.exists() and not (jobs / "tickets.cancel").exists())
        (jobs / "cancelled" / "tickets.json").rename(ticket)
        wait_until((jobs / "done" / "tickets.json").is_file)
        third.send_signal(signal.SIGTERM)
        assert third.wait(60) == 0
    assert weights(runs / "run-0001" / "adapter") == undisturbed
    taken = starts(jobs)
    assert (len(taken), taken[0], taken) == (4, 0, sorted(set(taken)))
    assert max(event.step for event in events(jobs) if isinstance(event, StepFinished)) == STEPS
    assert [path.name for path in runs.iterdir()] == ["run-0001"]


def test_a_job_that_another_worker_does_is_left_to_it(jobs: Path):
    ticket = jobs / "tickets.json"
    with FileLock(jobs / "tickets.lock"):
        example("worker").take(ticket, StopToken())
    assert ticket.is_file()
    assert events(jobs) == []


def test_a_worker_that_is_leaving_takes_no_other_job(jobs: Path):
    leaving = StopToken()
    leaving.stop()
    example("worker").take(jobs / "tickets.json", leaving)
    assert events(jobs) == []
