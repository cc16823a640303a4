"""Runs contestants in turn, again and again, and compares them within each round."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.field import SCRIPTS, Contestant, interpreter
from benchmarks.job import Job, Report
from benchmarks.workloads import Workload

LIMIT_SECONDS = 1200
TAIL = 400
"""Characters of a failed contestant's last words that are kept."""


@dataclass(frozen=True)
class Run:
    """One contestant in one round."""

    contestant: str
    round: int
    report: Report | None
    failure: str = ""

    @property
    def rows_per_second(self) -> float:
        """Over all steps but the first."""
        assert self.report is not None
        seconds = sum(self.report.step_seconds)
        return self.report.rows_per_step * len(self.report.step_seconds) / seconds


def run_rounds(
    workload: Workload,
    contestants: Sequence[Contestant],
    *,
    repeats: int,
    model: Path,
    device: str,
    work_dir: Path,
    tell: Callable[[str], None],
    lock: Sequence[str] = (),
) -> list[Run]:
    """Each round runs every contestant once, beginning with another one, so that no one always follows the same.

    Args:
        workload: what is trained on.
        contestants: who takes part.
        repeats: rounds.
        model: the base model's folder.
        device: ``cpu`` or ``cuda``.
        work_dir: where environments, adapters and reports go.
        tell: hears a line per run.
        lock: command put before each contestant's, such as ``flock FILE``, where others use the machine too.
    """
    runs: list[Run] = []
    failed: dict[str, str] = {}
    for number in range(repeats):
        shift = number % len(contestants)
        for contestant in [*contestants[shift:], *contestants[:shift]]:
            if contestant.name in failed:
                continue
            run = _run(workload, contestant, number, model=model, device=device, work_dir=work_dir, lock=lock)
            runs.append(run)
            if run.report is None:
                failed[contestant.name] = run.failure
            tell(f"{workload.name} round {number + 1} {contestant.name}: {_line(run)}")
    return runs


def _line(run: Run) -> str:
    return f"{run.rows_per_second:.2f} rows/s" if run.report else f"skipped: {run.failure}"


def _run(
    workload: Workload,
    contestant: Contestant,
    number: int,
    *,
    model: Path,
    device: str,
    work_dir: Path,
    lock: Sequence[str],
) -> Run:
    folder = work_dir / "runs" / workload.name / contestant.name / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    job = folder / "job.json"
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, workload.rows)), "utf-8")
    job.write_text(json.dumps(asdict(_job(workload, rows, model, folder, device))), "utf-8")
    report = job.with_suffix(".report.json")
    report.unlink(missing_ok=True)
    try:
        command = [*lock, interpreter(contestant, work_dir), SCRIPTS / contestant.script, job, contestant.variant]
        _execute([str(part) for part in command if str(part)], folder / "log.txt")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        log = folder / "log.txt"
        words = log.read_text("utf-8", "replace")[-TAIL:] if log.exists() else str(error)
        return Run(contestant.name, number, None, words.strip())
    return Run(contestant.name, number, Report(**json.loads(report.read_text("utf-8"))))


def _execute(command: list[str], log: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parents[1]), "HF_HUB_OFFLINE": "1"}
    environment.pop("VIRTUAL_ENV", None)
    with log.open("w") as file:
        subprocess.run(command, check=True, stdout=file, stderr=file, timeout=LIMIT_SECONDS, env=environment)


def _job(workload: Workload, rows: Path, model: Path, folder: Path, device: str) -> Job:
    return Job(
        rows=str(rows),
        model=str(model),
        output=str(folder / "output"),
        batch_size=workload.batch_size,
        steps=workload.steps,
        learning_rate=5e-4,
        rank=8,
        alpha=16,
        targets=("q_proj", "v_proj"),
        dtype="bfloat16",
        device=device,
        max_tokens=workload.max_tokens,
    )


@dataclass(frozen=True)
class Ratio:
    """Of a contestant's number to ours, round by round."""

    median: float
    low: float
    high: float


def ratio_to_ours(runs: Sequence[Run], contestant: str, number: Callable[[Run], float]) -> Ratio:
    """Compare within rounds: what the machine does to one, it does to the other.

    Args:
        runs: of all contestants.
        contestant: who is compared.
        number: taken from a run.
    """
    ours = {run.round: number(run) for run in runs if run.contestant == "ours" and run.report}
    theirs = [(run.round, number(run)) for run in runs if run.contestant == contestant and run.report]
    ratios = [value / ours[round_] for round_, value in theirs if round_ in ours]
    return Ratio(median(ratios), min(ratios), max(ratios))
