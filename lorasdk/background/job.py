"""What a run's own process is told: one JSON line through a pipe, and the rows of the host in a file without a name."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from lorasdk.background.plugin_reference import PluginReference, references
from lorasdk.background.refusals import fake_cannot_cross, row_cannot_cross
from lorasdk.contracts import Row
from lorasdk.errors import DataError, TrainingError
from lorasdk.recipe import Recipe
from lorasdk.recipe.handing_over import recipe_handed_over, recipe_with_secrets
from lorasdk.train_options import TrainOptions
from lorasdk.tuner.state import TunerState


@dataclass(frozen=True)
class Job:
    """Everything that makes the training in another process the one that this process would have done."""

    recipe: Recipe
    plugins: tuple[PluginReference, ...]
    """Those that the host handed over."""
    discover: bool
    blocked: frozenset[str]
    allowed: frozenset[str] | None
    trust_remote_code: bool
    rows: Mapping[str, int]
    """How many rows of each split the host handed over."""
    options: TrainOptions

    @classmethod
    def of(cls, state: TunerState, rows: Mapping[str, int], options: TrainOptions) -> Job:
        """The training that `state` would do.

        Raises:
            PluginError: a plugin is an object of this process.
            TrainingError: the engine is a fake, which is an object of this process too.
        """
        if not state.rooms.real:
            raise TrainingError(fake_cannot_cross())
        choice = state.manager.choice
        return cls(
            recipe=state.resolved.recipe,
            plugins=references(choice.plugins),
            discover=choice.discover,
            blocked=choice.blocked,
            allowed=choice.allowed,
            trust_remote_code=state.trust_remote_code,
            rows=rows,
            options=options,
        )

    def line(self) -> bytes:
        """One line that holds the recipe's secrets in the clear: for a pipe, never for a file or an argument."""
        told = {
            "recipe": recipe_with_secrets(self.recipe),
            "plugins": [asdict(plugin) for plugin in self.plugins],
            "discover": self.discover,
            "blocked": sorted(self.blocked),
            "allowed": None if self.allowed is None else sorted(self.allowed),
            "trust_remote_code": self.trust_remote_code,
            "rows": dict(self.rows),
            "options": {**asdict(self.options), "folder": isinstance(self.options.resume, Path)},
        }
        return json.dumps(told, default=str).encode("ascii") + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Job:
        """What `line` wrote."""
        told = json.loads(line)
        return cls(
            recipe=recipe_handed_over(told["recipe"]),
            plugins=tuple(PluginReference(**plugin) for plugin in told["plugins"]),
            discover=told["discover"],
            blocked=frozenset(told["blocked"]),
            allowed=None if told["allowed"] is None else frozenset(told["allowed"]),
            trust_remote_code=told["trust_remote_code"],
            rows=told["rows"],
            options=_options(**told["options"]),
        )


def write_rows(state: TunerState) -> tuple[BinaryIO, dict[str, int]]:
    """Write the rows that the host handed over to a file that is gone as soon as nobody has it open.

    Raises:
        DataError: a row holds something that is no data.
        OSError: the disk refuses.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the process that reads it closes it
    try:
        counts = {split: _write_split(file, split, state) for split in sorted(state.rows.handed_over)}
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, counts


def read_rows(file: BinaryIO, counts: Mapping[str, int]) -> dict[str, list[Row]]:
    """The rows that `write_rows` wrote."""
    return {split: [json.loads(line) for line in islice(file, count)] for split, count in counts.items()}


def _write_split(file: BinaryIO, split: str, state: TunerState) -> int:
    number = 0
    for number, row in enumerate(_rows(split, state), start=1):
        try:
            file.write(json.dumps(row, default=_mapping).encode("ascii") + b"\n")
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(row_cannot_cross(split, number, error)) from error
    return number


def _rows(split: str, state: TunerState) -> Iterator[Row]:
    yield from state.resolved.sources[split].open(lambda _problem: None)


def _mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no data")


def _options(resume: Any, allow_changes: list[str], *, evaluate: bool, folder: bool) -> TrainOptions:  # noqa: ANN401 - JSON
    return TrainOptions(Path(resume) if folder else resume, tuple(allow_changes), evaluate)
