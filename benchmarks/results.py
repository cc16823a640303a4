"""What a benchmark run found, as it is kept on disk."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.job import Report
from benchmarks.measuring import Run


@dataclass
class WorkloadResult:
    """All runs of one workload."""

    name: str
    title: str
    tokens_per_row: float
    """Real ones, chat template included, padding not."""
    runs: list[Run] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    """Mean held-out loss per answer token, by contestant; ``base`` is the untouched model's."""

    def of(self, contestant: str) -> list[Run]:
        """A contestant's runs that came to an end."""
        return [run for run in self.runs if run.contestant == contestant and run.report]

    def failure(self, contestant: str) -> str:
        """Why a contestant did not take part; empty if it did."""
        return next((run.failure for run in self.runs if run.contestant == contestant and run.failure), "")


def write(folder: Path, result: WorkloadResult) -> None:
    """Keep a workload's result."""
    machine = {"cpu": platform.processor() or platform.machine(), "python": platform.python_version()}
    values = {**asdict(result), "machine": machine, "date": datetime.now(UTC).date().isoformat()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.name}.json").write_text(json.dumps(values, indent=1), "utf-8")


def read(folder: Path, names: Sequence[str]) -> list[WorkloadResult]:
    """The results that are there."""
    found = []
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            values = json.loads(path.read_text("utf-8"))
            runs = [
                Run(r["contestant"], r["round"], Report(**r["report"]) if r["report"] else None, r["failure"])
                for r in values["runs"]
            ]
            kept = (values[key] for key in ("name", "title", "tokens_per_row"))
            found.append(WorkloadResult(*kept, runs, values["losses"]))
    return found
