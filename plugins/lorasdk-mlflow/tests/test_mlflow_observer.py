"""Which run an event belongs to, and when nothing is recorded at all."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from lorasdk_mlflow import MlflowObserver, observer, plugin
from lorasdk_mlflow.commands import AnyCommand, Measure, Open
from lorasdk_mlflow.installed import InstalledObserver

from lorasdk import ComparisonFinished, LossSpike, Notice, RunFailed, RunFinished, RunStarted, build_manager


class Kept:
    """A recording that keeps what it is told."""

    def __init__(self) -> None:
        self.commands: list[AnyCommand] = []
        self.ended = ""

    def add(self, commands: Iterable[AnyCommand]) -> None:
        self.commands += commands

    def abandon(self) -> None:
        self.ended = "abandoned"

    def finish(self) -> None:
        self.ended = "finished"

    @property
    def run_dir(self) -> str:
        assert isinstance(self.commands[0], Open)
        return Path(self.commands[0].run_dir).name

    @property
    def steps(self) -> list[int]:
        measures = [command for command in self.commands if isinstance(command, Measure)]
        return [measure.readings[0].step for measure in measures]


@pytest.fixture
def made(monkeypatch) -> list[Kept]:
    recordings: list[Kept] = []

    def make(*_, **__) -> Kept:
        recordings.append(Kept())
        return recordings[-1]

    monkeypatch.setattr(observer, "Recording", make)
    return recordings


def started(name: str) -> RunStarted:
    return RunStarted(Path("/runs") / name, "tiny", "f00d")


def finished(name: str) -> RunFinished:
    return RunFinished(Path("/runs") / name / "adapter", 9, 1.0)


def observing() -> MlflowObserver:
    return MlflowObserver(tracking_uri="http://host")


def test_runs_one_after_the_other_are_recorded_apart(made):
    watcher = observing()
    for event in [started("1"), LossSpike(1, 9.0, 1.0, skipped=False), finished("1"), started("2"), finished("2")]:
        watcher.on_event(event)
    assert [kept.run_dir for kept in made] == ["1", "2"]
    assert [kept.steps for kept in made] == [[1, 9], [9]]
    assert [kept.ended for kept in made] == ["finished", "finished"]


def test_two_runs_at_once_in_two_threads_do_not_mix(made):
    watcher, both = observing(), threading.Barrier(2)

    def train(name: str, step: int) -> None:
        watcher.on_event(started(name))
        both.wait()
        for _ in range(50):
            watcher.on_event(LossSpike(step, 9.0, 1.0, skipped=False))
        both.wait()
        watcher.on_event(finished(name))

    threads = [threading.Thread(target=train, args=(str(step), step)) for step in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((kept.run_dir, *kept.steps) for kept in made) == [("1", *[1] * 50, 9), ("2", *[2] * 50, 9)]


def test_events_outside_of_a_run_are_not_recorded(made):
    watcher = observing()
    watcher.on_event(Notice("a.b", "before"))
    watcher.on_event(started("1"))
    watcher.on_event(RunFailed("a.b", "no"))
    before = len(made[0].commands)
    watcher.on_event(Notice("a.b", "after"))
    assert len(made) == 1
    assert len(made[0].commands) == before


def test_a_run_that_was_interrupted_is_left_when_the_next_begins(made):
    watcher = observing()
    watcher.on_event(started("1"))
    watcher.on_event(started("2"))
    assert [kept.ended for kept in made] == ["abandoned", ""]


def test_a_comparison_after_a_run_is_recorded_by_itself(made):
    watcher = observing()
    watcher.on_event(ComparisonFinished(Path("/runs/1/adapter"), 5, {"a": 0.1}, {"a": 0.2}))
    assert [(kept.run_dir, kept.ended) for kept in made] == [("1", "finished")]


def test_a_comparison_within_a_run_belongs_to_it(made):
    watcher = observing()
    watcher.on_event(started("1"))
    watcher.on_event(ComparisonFinished(Path("/runs/1/adapter"), 5, {"a": 0.1}, {"a": 0.2}))
    assert len(made) == 1
    assert made[0].steps == [0]


def test_the_installed_observer_does_nothing_without_the_variable(made):
    watcher = InstalledObserver()
    for event in [started("1"), finished("1"), ComparisonFinished(Path("/runs/1/adapter"), 5, {}, {})]:
        watcher.on_event(event)
    assert made == []


def test_the_installed_observer_records_where_the_variable_says(made, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    watcher = InstalledObserver()
    watcher.on_event(started("1"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # a run goes on as it began
    watcher.on_event(finished("1"))
    opening = made[0].commands[0]
    assert isinstance(opening, Open)
    assert opening.tracking_uri == "http://there"
    assert made[0].ended == "finished"


def test_a_manager_takes_both_observers():
    build_manager([observing()], discover=False)
    build_manager([plugin], discover=False)


def test_the_program_never_imports_mlflow():
    code = "import sys, lorasdk_mlflow, lorasdk_mlflow.recording; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
