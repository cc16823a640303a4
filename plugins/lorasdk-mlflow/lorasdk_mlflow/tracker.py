"""Does what commands ask, with whatever server it is given: the half that runs in the client's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lorasdk_mlflow.commands import AnyCommand, Close, Describe, Measure, Open, Reading, Status, Upload

RUN_DIR = "lorasdk.run_dir"
"""Tag by which a run is found again."""


@dataclass(frozen=True)
class KnownRun:
    """An MLflow run that exists."""

    run_id: str
    params: Mapping[str, str]
    """What it was given before; MLflow never replaces a parameter."""


class Server(Protocol):
    """The few things that are asked of MLflow."""

    def find(self, experiment: str, tag: str, value: str) -> KnownRun | None:
        """The latest run of an experiment with this tag."""
        ...

    def create(self, experiment: str, run_name: str, tags: Mapping[str, str]) -> KnownRun:
        """A new run, and its experiment if there is none."""
        ...

    def log(
        self,
        run_id: str,
        *,
        readings: Sequence[Reading] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Store values of any number."""
        ...

    def upload(self, run_id: str, path: Path, under: str) -> None:
        """Store a file or folder."""
        ...

    def set_status(self, run_id: str, status: Status | None, time_ms: int | None = None) -> None:
        """End a run at a time, or without a status let it run."""
        ...

    def last_step(self, run_id: str, metric: str) -> int:
        """The highest step a metric has; -1 for none."""
        ...


class Tracker:
    """One MLflow run, from its first command to its last."""

    def __init__(self, connect: Callable[[str], Server]) -> None:
        self._connect = connect

    def follow(self, commands: Iterable[AnyCommand]) -> Exception | None:
        """Do what is asked, in order. When the commands end before a `Close`, their program is gone: KILLED.

        Returns:
            What kept artifacts from being stored. They often lie on another server, with credentials of its own, and
            the numbers are worth having without them.
        """
        remaining = iter(commands)
        opening = next(remaining, None)
        if not isinstance(opening, Open):
            return None
        server = self._connect(opening.tracking_uri)
        tracked = _opened(server, opening)
        for command in remaining:
            tracked.do(command)
            if isinstance(command, Close):
                return tracked.refused
        if tracked.running:
            server.set_status(tracked.run.run_id, "KILLED")
        return tracked.refused


@dataclass
class _Tracked:
    """A run that is open."""

    server: Server
    run: KnownRun
    running: bool
    """Whether its status is for us to set."""
    resumed_from: int | None
    """None for a new run."""
    last_steps: dict[str, int] = field(default_factory=dict)
    """Steps that the run has already, by metric, as far as they were asked for."""
    refused: Exception | None = None
    """Why an artifact was not stored; none is tried after it."""

    def do(self, command: AnyCommand) -> None:
        run_id = self.run.run_id
        match command:
            case Measure():
                if readings := [reading for reading in command.readings if self._is_new(reading)]:
                    self.server.log(run_id, readings=readings)
            case Describe():
                self._describe(command)
            case Upload():
                self._upload(Path(command.path), command.under)
            case Close():
                if self.running:
                    self.server.set_status(run_id, command.status or "FINISHED", command.time_ms)
            case Open():
                raise ValueError("a run is opened once")

    def _upload(self, path: Path, under: str) -> None:
        if self.refused is not None or not path.exists():
            return
        try:
            self.server.upload(self.run.run_id, path, under)
        except Exception as error:  # noqa: BLE001 - each kind of store has its own; it is told at the end
            self.refused = error

    def _describe(self, command: Describe) -> None:
        if not self.running:  # only compared again, and described when it was trained
            return
        known = self.run.params
        new = {name: text for name, text in command.params.items() if name not in known}
        changed = {name: text for name, text in command.params.items() if known.get(name, text) != text}
        # A parameter cannot be replaced, and that a run went on otherwise must not be lost.
        tags = {**command.tags, **{f"lorasdk.resumed.{name}": text for name, text in changed.items()}}
        if new or tags:
            self.server.log(self.run.run_id, params=new, tags=tags)

    def _is_new(self, reading: Reading) -> bool:
        """Whether the run has this step not yet: what was taken after the last checkpoint is taken again."""
        if self.resumed_from is None or reading.step <= self.resumed_from:
            return True
        if reading.name not in self.last_steps:
            self.last_steps[reading.name] = self.server.last_step(self.run.run_id, reading.name)
        return reading.step > self.last_steps[reading.name]


def _opened(server: Server, opening: Open) -> _Tracked:
    tags = {**opening.tags, RUN_DIR: opening.run_dir}
    found = server.find(opening.experiment, RUN_DIR, opening.run_dir) if opening.find else None
    if found is None:
        created = server.create(opening.experiment, opening.run_name, tags)
        return _Tracked(server, created, running=True, resumed_from=None)
    if opening.running:
        server.set_status(found.run_id, None)
    server.log(found.run_id, tags=tags)
    return _Tracked(server, found, running=opening.running, resumed_from=opening.resumed_from)
