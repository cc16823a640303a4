"""What waits to be sent: whoever trains puts and never waits, whoever sends takes in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import groupby

from lorasdk_mlflow.commands import AnyCommand, Close, Measure, Open, Reading, Upload

LARGEST_BATCH = 1000
"""Metrics that MLflow takes in one request."""


class Backlog:
    """A bounded queue of commands. Beyond the bound what is said often is dropped and counted; the rest never is.

    Args:
        values: metrics that wait at most.
        batch_seconds: how long metrics wait for others; anything else takes them along at once.
    """

    def __init__(self, values: int, batch_seconds: float) -> None:
        self._values, self._batch_seconds = values, batch_seconds
        self._changed = threading.Condition()
        self._waiting: list[AnyCommand] = []
        self._weight = self._dropped = 0
        self._urgent = self._closed = False

    @property
    def dropped(self) -> int:
        """Values that did not fit."""
        return self._dropped

    def put(self, commands: Iterable[AnyCommand], *, always: bool = False) -> None:
        """Add commands, those that do not fit too if `always`; nothing happens once the backlog is closed."""
        with self._changed:
            for command in () if self._closed else commands:
                weight = _weight(command)
                if weight and not always and self._weight + weight > self._values:
                    self._dropped += weight
                    continue
                self._weight += weight
                self._urgent = self._urgent or not isinstance(command, Measure)
                self._waiting.append(command)
            self._changed.notify()

    def close(self) -> None:
        """Take nothing more; what is there is still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> list[AnyCommand]:
        """Everything that waits, readings in a row together; empty when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(self._is_due, self._batch_seconds)
            taken, self._waiting = self._waiting, []
            self._weight, self._urgent = 0, False
        return _together(taken)

    def _is_due(self) -> bool:
        return self._urgent or self._closed or self._weight >= LARGEST_BATCH


def _weight(command: AnyCommand) -> int:
    match command:
        case Open() | Upload() | Close():
            return 0
        case Measure():
            return len(command.readings)
        case _:
            return 1


def _together(commands: list[AnyCommand]) -> list[AnyCommand]:
    merged: list[AnyCommand] = []
    for measures, group in groupby(commands, key=lambda command: isinstance(command, Measure)):
        if not measures:
            merged.extend(group)
            continue
        readings = [reading for command in group if isinstance(command, Measure) for reading in command.readings]
        merged.extend(_batches(readings))
    return merged


def _batches(readings: list[Reading]) -> Iterable[Measure]:
    for start in range(0, len(readings), LARGEST_BATCH):
        yield Measure(readings=tuple(readings[start : start + LARGEST_BATCH]))
