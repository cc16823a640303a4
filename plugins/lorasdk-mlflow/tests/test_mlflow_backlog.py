"""The queue between a training and the sender."""

from __future__ import annotations

import threading
import time

from lorasdk_mlflow.backlog import Backlog
from lorasdk_mlflow.commands import Close, Describe, Measure, Reading, Upload

END = Close(status="FINISHED", time_ms=1)


def measure(step: int, values: int = 1) -> Measure:
    return Measure(readings=tuple(Reading(name=f"m{i}", value=1.0, step=step, time_ms=0) for i in range(values)))


def steps(command: Measure) -> list[int]:
    return [reading.step for reading in command.readings]


def test_readings_in_a_row_are_sent_together():
    backlog = Backlog(values=100, batch_seconds=0)
    backlog.put([measure(1), measure(2), END, measure(3)])
    first, end, last = backlog.take()
    assert (steps(first), end, steps(last)) == ([1, 2], END, [3])


def test_a_request_holds_no_more_than_mlflow_takes():
    backlog = Backlog(values=5000, batch_seconds=0)
    backlog.put([measure(step, values=600) for step in range(4)])
    assert [len(command.readings) for command in backlog.take()] == [1000, 1000, 400]


def test_beyond_the_bound_values_are_dropped_and_counted_but_never_the_rest():
    backlog = Backlog(values=3, batch_seconds=0)
    upload = Upload(path="adapter")
    backlog.put([measure(1, values=2), measure(2, values=2), measure(3), Describe(tags={"a": "b"}), upload, END])
    sent, *rest = backlog.take()
    assert steps(sent) == [1, 1, 3]
    assert rest == [upload, END]
    assert backlog.dropped == 3


def test_what_must_be_told_is_taken_beyond_the_bound():
    backlog = Backlog(values=1, batch_seconds=0)
    backlog.put([measure(1)])
    backlog.put([Describe(tags={"a": "b"})], always=True)
    assert backlog.take()[-1] == Describe(tags={"a": "b"})


def test_what_was_taken_makes_room():
    backlog = Backlog(values=1, batch_seconds=0)
    backlog.put([measure(1)])
    backlog.take()
    backlog.put([measure(2)])
    assert backlog.dropped == 0


def test_readings_wait_for_others_and_anything_else_does_not():
    backlog = Backlog(values=100, batch_seconds=30)
    backlog.put([measure(1)])
    began = time.monotonic()
    threading.Timer(0.05, backlog.put, [[END]]).start()
    assert len(backlog.take()) == 2
    assert time.monotonic() - began < 10


def test_readings_do_not_wait_longer_than_was_asked():
    backlog = Backlog(values=100, batch_seconds=0.05)
    backlog.put([measure(1)])
    began = time.monotonic()
    assert len(backlog.take()) == 1
    assert time.monotonic() - began < 5


def test_a_closed_backlog_gives_the_rest_and_then_nothing():
    backlog = Backlog(values=100, batch_seconds=30)
    backlog.put([measure(1)])
    backlog.close()
    backlog.put([measure(2)])
    assert [steps(command) for command in backlog.take()] == [[1]]
    assert backlog.take() == []
