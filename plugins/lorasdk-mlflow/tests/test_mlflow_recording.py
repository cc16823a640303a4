"""The thread between a training and the process that may wait, with processes that only pretend."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lorasdk_mlflow import child_process
from lorasdk_mlflow.commands import AnyCommand, Close, Measure, Open, Reading, read_command
from lorasdk_mlflow.options import TrackingOptions
from lorasdk_mlflow.recording import THREAD, Recording

OPENING = Open(tracking_uri="http://host", experiment="e", run_name="n", run_dir="/runs/1", tags={})
END = Close(status="FINISHED", time_ms=9)
TAKES_ALL = "import sys; open({heard!r}, 'wb').write(sys.stdin.buffer.read()); print('{{}}')"
STORES_NOTHING = 'import sys; sys.stdin.buffer.read(); print(\'{{"artifacts": "the bucket is full"}}\')'
REFUSES = 'import sys; sys.stdin.buffer.readline(); print(\'{{"problem": "it is closed on Sundays"}}\')'
HANGS = "import time; time.sleep(600)"
DIES = "import os; os._exit(7)"


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    return tmp_path / "heard"


@pytest.fixture
def program(monkeypatch, heard: Path) -> Callable[[str], None]:
    """Sets what runs in place of MLflow's client."""

    def choose(code: str) -> None:
        def started(_environment):
            words = [sys.executable, "-S", "-c", code.format(heard=str(heard))]
            return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        monkeypatch.setattr(child_process, "_started", started)

    return choose


def recording(**options) -> Recording:
    bounds = {"tracking_uri": "http://host", "batch_seconds": 0, **options}
    return Recording(TrackingOptions.of(**bounds), label="run 1", server="http://host")


def measure(step: int) -> Measure:
    return Measure(readings=(Reading(name="loss", value=1.0, step=step, time_ms=0),))


def commands_in(heard: Path) -> list[AnyCommand]:
    return [read_command(line) for line in heard.read_bytes().splitlines(keepends=True)]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == THREAD]


def test_everything_arrives_and_no_thread_is_left(program, heard, caplog):
    program(TAKES_ALL)
    recorded = recording()
    recorded.add([OPENING, measure(1), END])
    recorded.finish()
    assert commands_in(heard) == [OPENING, measure(1), END]
    assert threads() == []
    assert caplog.records == []


def test_P92_a_problem_is_told_once_with_its_reason(program, caplog):
    program(REFUSES)
    recorded = recording()
    recorded.add([OPENING])
    for step in range(200):
        recorded.add([measure(step)])
        time.sleep(0.001)
    recorded.finish()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("lorasdk_mlflow", logging.WARNING)
    assert record.getMessage() == "run 1 is no longer logged to MLflow at http://host: it is closed on Sundays"


def test_P92_artifacts_that_are_refused_are_told_once(program, caplog):
    program(STORES_NOTHING)
    recorded = recording()
    recorded.add([OPENING, END])
    recorded.finish()
    (record,) = caplog.records
    assert record.getMessage() == "run 1 is logged to MLflow at http://host without its artifacts: the bucket is full"


def test_P92_a_process_that_dies_is_a_problem_too(program, caplog):
    program(DIES)
    recorded = recording()
    recorded.add([OPENING, END])
    recorded.finish()
    assert "exit code 7" in caplog.text
    assert threads() == []


def test_P92_the_end_waits_no_longer_than_was_asked(program, caplog):
    program(HANGS)
    recorded = recording(flush_seconds=0.2)
    recorded.add([OPENING, END])
    began = time.monotonic()
    recorded.finish()
    assert time.monotonic() - began < 4
    assert "not everything was sent within 0.2 s" in caplog.text
    assert threads() == []


def test_P92_a_training_does_not_wait_for_a_process_that_hangs(program, caplog):
    program(HANGS)
    recorded = recording(flush_seconds=0.1, pending_values=50)
    began = time.monotonic()
    for step in range(5000):  # more than a pipe holds
        recorded.add([measure(step)])
    assert time.monotonic() - began < 2
    recorded.finish()
    assert len(caplog.records) == 1


def test_dropped_values_are_told_to_the_log_and_to_the_run(program, heard, caplog):
    program("import time; time.sleep(0.3); " + TAKES_ALL)
    recorded = recording(pending_values=3, batch_seconds=0.2)
    recorded.add([measure(step) for step in range(10)])
    recorded.add([END])
    recorded.finish()
    *_, tag, end = commands_in(heard)
    assert end == END
    assert tag.tags == {"lorasdk.dropped_values": "7"}
    (record,) = caplog.records
    assert record.getMessage().startswith("7 values of run 1 were not logged to MLflow at http://host")


@pytest.mark.parametrize("executable", ["", "/usr/bin/uwsgi", "C:\\shop\\shop.exe"])
def test_P92_a_program_that_is_no_python_is_not_started_and_a_warning_says_so(executable, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", executable)
    recorded = recording()
    recorded.add([OPENING, END])
    recorded.finish()
    assert "no program of its own" in caplog.text


def test_a_recording_that_everybody_forgot_ends_by_itself(program, heard):
    program(TAKES_ALL)
    recorded = recording()
    recorded.add([OPENING])
    del recorded
    gc.collect()
    latest = time.monotonic() + 10
    while threads() and time.monotonic() < latest:
        time.sleep(0.01)
    assert threads() == []
    assert commands_in(heard) == [OPENING]
