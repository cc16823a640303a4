"""What the process that speaks to MLflow is asked to do: one JSON object on each line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Status: TypeAlias = Literal["FINISHED", "FAILED", "KILLED"]


class Command(BaseModel):
    """One request."""

    # A loss that is no number is worth seeing, and JSON has no word for it.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="strings")


class Open(Command):
    """Create an MLflow run, or find one again; the first command."""

    do: Literal["open"] = "open"
    tracking_uri: str = Field(repr=False)
    """May hold a password: this command goes through a pipe and nowhere else."""
    experiment: str
    """Made when it does not exist."""
    run_name: str
    """What MLflow shows."""
    run_dir: str
    """Absolute; kept as a tag, by which the run is found again."""
    tags: Mapping[str, str]
    """Other tags."""
    find: bool = False
    """Go on with the latest MLflow run of `run_dir`, if there is one."""
    running: bool = True
    """Whether a training begins; otherwise a run that is found keeps its status."""
    resumed_from: int = 0
    """Steps after which values that the run has already are left out."""


class Describe(Command):
    """Set parameters and tags."""

    do: Literal["describe"] = "describe"
    params: Mapping[str, str] = {}
    """Values that stay."""
    tags: Mapping[str, str] = {}
    """Values that may be replaced."""


class Reading(Command):
    """One value of one metric."""

    name: str
    value: float
    step: int
    time_ms: int
    """Milliseconds since 1970."""


class Measure(Command):
    """Log values."""

    do: Literal["measure"] = "measure"
    readings: tuple[Reading, ...]


class Upload(Command):
    """Log a file or a folder as an artifact; one that is not there is left out."""

    do: Literal["upload"] = "upload"
    path: str
    under: str = ""
    """Folder among the run's artifacts; empty for their root."""


class Close(Command):
    """End the MLflow run; the last command."""

    do: Literal["close"] = "close"
    status: Status | None
    """None leaves the status of a run that was found."""
    time_ms: int
    """Milliseconds since 1970."""


AnyCommand: TypeAlias = Open | Describe | Measure | Upload | Close
_ANY: TypeAdapter[AnyCommand] = TypeAdapter(Annotated[AnyCommand, Field(discriminator="do")])


def command_line(command: AnyCommand) -> bytes:
    """Write a command as one line."""
    return command.model_dump_json().encode() + b"\n"


def read_command(line: bytes) -> AnyCommand:
    """Read what `command_line` wrote."""
    return _ANY.validate_json(line)
