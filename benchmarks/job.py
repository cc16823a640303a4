"""What a contestant is told, and what it tells: two JSON files, so that each can run in an environment of its own.

This file is imported by contestants' scripts too, so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


@dataclass(frozen=True)
class Job:
    """One training."""

    rows: str
    """JSON lines with ``prompt`` and ``answer``, in the order in which they are to be trained on."""
    model: str
    """Folder of the dense base model."""
    output: str
    """Folder for the adapter and whatever the tool writes."""
    batch_size: int
    """Rows per optimizer step."""
    steps: int
    """Optimizer steps."""
    learning_rate: float
    rank: int
    alpha: int
    targets: tuple[str, ...]
    dtype: str
    """``bfloat16`` or ``float32``: what the contestant computes in, unless its point is another."""
    device: str
    """``cpu`` or ``cuda``."""
    max_tokens: int
    """Longest row in tokens."""

    @classmethod
    def read(cls) -> Job:
        """The job that the command line names."""
        values = json.loads(Path(sys.argv[1]).read_text("utf-8"))
        return cls(**{**values, "targets": tuple(values["targets"])})

    def examples(self) -> list[dict[str, str]]:
        """The rows."""
        return [json.loads(line) for line in Path(self.rows).read_text("utf-8").splitlines()]


@dataclass
class Report:
    """What came of it."""

    seconds_to_first_step: float = 0.0
    """From the start of the process to the end of the first optimizer step."""
    step_seconds: list[float] = field(default_factory=list)
    """Of each step after the first."""
    rows_per_step: float = 0.0
    """On average, for tools that pack before they batch."""
    peak_resident_bytes: int = 0
    adapter: str = ""
    """Folder in PEFT's format; empty if the tool writes another."""
    notes: list[str] = field(default_factory=list)
    """What was not possible as asked."""
    versions: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write the report beside the job."""
        self.peak_resident_bytes = peak_resident_bytes()
        Path(sys.argv[1]).with_suffix(".report.json").write_text(json.dumps(asdict(self)), "utf-8")


@dataclass
class StepClock:
    """Times optimizer steps."""

    ends: list[float] = field(default_factory=list)
    """When each step ended."""

    @classmethod
    def of_optimizers(cls) -> StepClock:
        """A clock that every torch optimizer of this process strikes at the end of its step."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        clock = cls()
        register_optimizer_step_post_hook(lambda *_: clock.ends.append(time.perf_counter()))
        return clock

    def report(self, *, rows_per_step: float, **more: Any) -> Report:  # noqa: ANN401 - the report's own fields
        """The times so far."""
        gaps = [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]
        return Report(self.ends[0] - STARTED, gaps, rows_per_step, **more)


def peak_resident_bytes() -> int:
    """The largest resident set that this process had, as the kernel counted it."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def installed(*names: str) -> dict[str, str]:
    """Versions of distributions."""
    from importlib.metadata import version

    return {name: version(name) for name in names}
