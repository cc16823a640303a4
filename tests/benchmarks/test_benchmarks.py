"""The benchmarks' own arithmetic: who is compared with whom, and what the tables say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import measuring
from benchmarks.field import CONTESTANTS, Contestant
from benchmarks.job import Job, Report, StepClock
from benchmarks.measuring import Run, ratio_to_ours, run_rounds
from benchmarks.results import WorkloadResult, read, write
from benchmarks.table import draw, fill, table
from benchmarks.workloads import WORKLOADS

ANSWERS = """
import json, pathlib, sys
job = json.loads(pathlib.Path(sys.argv[1]).read_text())
rows = pathlib.Path(job["rows"]).read_text().splitlines()
report = {"seconds_to_first_step": 1.0, "step_seconds": [2.0], "rows_per_step": len(rows), "notes": sys.argv[2:]}
pathlib.Path(sys.argv[1]).with_suffix(".report.json").write_text(json.dumps(report))
"""


def run(contestant: str, round_: int, seconds: float, *, memory: int = 1) -> Run:
    return Run(contestant, round_, Report(3.0, [seconds, seconds], 8, memory * 10**9))


RUNS = [run("ours", 0, 1), run("trl-best", 0, 4), run("ours", 1, 2), run("trl-best", 1, 6), run("trl-best", 2, 99)]


@pytest.mark.parametrize("name", WORKLOADS)
def test_rows_are_the_same_at_every_call_and_none_is_held_out(name: str):
    workload = WORKLOADS[name]
    assert workload.rows == WORKLOADS[name].rows
    assert len(workload.rows) == workload.batch_size * workload.steps
    trained = {row["prompt"] + row["answer"] for row in workload.rows}
    assert not trained & {row["prompt"] + row["answer"] for row in workload.held_out}


def test_ratios_are_taken_within_rounds():
    ratio = ratio_to_ours(RUNS, "trl-best", lambda run: run.rows_per_second)
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx(((1 / 4 + 1 / 3) / 2, 1 / 4, 1 / 3))


def test_the_table_puts_ours_first_and_says_who_was_skipped():
    result = WorkloadResult("w", "title", 100.0, [*RUNS, Run("litgpt", 0, None, "no wheel")], {"ours": 1.25})
    lines = table(result).splitlines()
    assert lines[4].startswith("| **lorasdk** | 6.0 | 600 | 1 | 1.0 GB | 1 | 3 s | 1.250 |")
    assert "3.5× (3.0–4.0)" in lines[5]
    assert lines[6] == "| litgpt, bf16 | skipped | | | | | | |"


def test_results_are_read_as_they_were_written_and_fill_their_place_in_the_page(tmp_path: Path):
    result = WorkloadResult("w", "title", 100.0, RUNS, {"ours": 1.0})
    write(tmp_path, result)
    assert read(tmp_path, ["w", "absent"]) == [result]
    page = "before\n<!-- table: w -->\nold\n<!-- end -->\nafter\n"
    assert fill(fill(page, [result]), [result]) == f"before\n<!-- table: w -->\n{table(result)}<!-- end -->\nafter\n"


def test_contestants_take_turns_and_a_failure_is_kept_with_its_last_words(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(measuring, "SCRIPTS", tmp_path)
    (tmp_path / "good.py").write_text(ANSWERS)
    (tmp_path / "bad.py").write_text("raise SystemExit('no such device')")
    told: list[str] = []
    runs = run_rounds(
        WORKLOADS["wordnet-8"],
        [
            Contestant("ours", "", "good.py"),
            Contestant("other", "", "good.py", "fast"),
            Contestant("bad", "", "bad.py"),
        ],
        repeats=2,
        model=tmp_path,
        device="cpu",
        work_dir=tmp_path / "work",
        tell=told.append,
    )
    assert [(r.contestant, r.round) for r in runs] == [("ours", 0), ("other", 0), ("bad", 0), ("other", 1), ("ours", 1)]
    assert [r.report.notes for r in runs if r.report] == [[], ["fast"], ["fast"], []]
    assert "no such device" in next(r.failure for r in runs if r.report is None)
    assert told[0] == "wordnet-8 round 1 ours: 36.00 rows/s"


def test_a_job_is_read_back_from_the_command_line(tmp_path: Path, monkeypatch):
    job = measuring._job(WORKLOADS["wordnet-8"], tmp_path / "rows", tmp_path, tmp_path, "cpu")
    path = tmp_path / "job.json"
    path.write_text(json.dumps(vars(job)))
    monkeypatch.setattr(sys, "argv", ["script", str(path)])
    assert Job.read() == job


def test_the_first_step_is_told_apart_from_the_rest():
    report = StepClock([10.0, 12.0, 15.0]).report(rows_per_step=8)
    assert report.step_seconds == [2.0, 3.0]


def test_every_contestant_has_a_script():
    assert all((measuring.SCRIPTS / contestant.script).exists() for contestant in CONTESTANTS.values())


def test_the_chart_has_a_bar_for_each_contestant_and_is_the_same_each_time(tmp_path: Path):
    result = WorkloadResult("w", "title, 8 rows a step", 100.0, RUNS, {})
    for name in ("one.svg", "other.svg"):
        draw([result, result], tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text("utf-8")
    assert all(f"<!-- {words} -->" in drawn for words in ("lorasdk", "TRL, packed, bf16", "1.00", "0.29"))
    assert drawn == (tmp_path / "other.svg").read_text("utf-8")
