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


ONE, TWO = Path("/runs/1"), Path("/runs/2")
COMPARED = ComparisonFinished(ONE / "adapter", 5, {"a": 0.1}, {"a": 0.2})


def started(run_dir: Path) -> RunStarted:
    return RunStarted(run_dir, "tiny", "f00d")


def finished(run_dir: Path) -> RunFinished:
    return RunFinished(run_dir / "adapter", 9, 1.0)


def spike(step: int) -> LossSpike:
    return LossSpike(step, 9.0, 1.0, skipped=False)


def observing() -> MlflowObserver:
    return MlflowObserver(tracking_uri="http://host")


def test_runs_one_after_the_other_are_recorded_apart(made):
    watcher = observing()
    for event in [started(ONE), spike(1), finished(ONE)]:
        watcher.on_event(event, ONE)
    for event in [started(TWO), finished(TWO)]:
        watcher.on_event(event, TWO)
    assert [kept.run_dir for kept in made] == ["1", "2"]
    assert [kept.steps for kept in made] == [[1, 9], [9]]
    assert [kept.ended for kept in made] == ["finished", "finished"]


def test_two_runs_at_once_do_not_mix_whichever_thread_announces_them(made):
    watcher = observing()
    watcher.on_event(started(ONE), ONE)
    watcher.on_event(started(TWO), TWO)
    watcher.on_event(spike(1), ONE)
    watcher.on_event(spike(2), TWO)
    elsewhere = threading.Thread(target=watcher.on_event, args=(spike(3), ONE))
    elsewhere.start()
    elsewhere.join()
    watcher.on_event(finished(ONE), ONE)
    watcher.on_event(spike(4), TWO)
    assert [(kept.steps, kept.ended) for kept in made] == [([1, 3, 9], "finished"), ([2, 4], "")]


def test_two_runs_in_two_threads_do_not_mix(made):
    watcher, both = observing(), threading.Barrier(2)

    def train(run_dir: Path, step: int) -> None:
        watcher.on_event(started(run_dir), run_dir)
        both.wait()
        for _ in range(50):
            watcher.on_event(spike(step), run_dir)
        both.wait()
        watcher.on_event(finished(run_dir), run_dir)

    threads = [threading.Thread(target=train, args=arguments) for arguments in ((ONE, 1), (TWO, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((kept.run_dir, *kept.steps) for kept in made) == [("1", *[1] * 50, 9), ("2", *[2] * 50, 9)]


def test_events_outside_of_a_run_are_not_recorded(made):
    watcher = observing()
    watcher.on_event(Notice("a.b", "before"), None)
    watcher.on_event(started(ONE), ONE)
    before = len(made[0].commands)
    watcher.on_event(Notice("a.b", "meanwhile"), None)
    assert len(made[0].commands) == before
    watcher.on_event(RunFailed("a.b", "no"), ONE)
    ended = len(made[0].commands)
    watcher.on_event(Notice("a.b", "after"), ONE)
    assert len(made) == 1
    assert len(made[0].commands) == ended


def test_a_run_that_an_exception_ended_is_over_when_the_next_begins_in_its_thread(made):
    watcher = observing()
    for event in [started(ONE), spike(1), RunFailed("KeyboardInterrupt", "")]:
        watcher.on_event(event, ONE)
    for event in [started(TWO), spike(2)]:
        watcher.on_event(event, TWO)
    assert [(kept.run_dir, kept.steps, kept.ended) for kept in made] == [("1", [1], "finished"), ("2", [2], "")]


def test_a_run_whose_end_nobody_told_is_left_when_its_folder_is_trained_in_again(made):
    watcher = observing()
    watcher.on_event(started(ONE), ONE)
    watcher.on_event(started(TWO), TWO)
    watcher.on_event(started(ONE), ONE)
    watcher.on_event(spike(1), ONE)
    assert [(kept.steps, kept.ended) for kept in made] == [([], "abandoned"), ([], ""), ([1], "")]


def test_a_comparison_after_a_run_is_recorded_by_itself(made):
    watcher = observing()
    watcher.on_event(COMPARED, None)
    assert [(kept.run_dir, kept.ended) for kept in made] == [("1", "finished")]


def test_a_comparison_outside_of_a_run_does_not_come_to_one_that_goes_on_meanwhile(made):
    watcher = observing()
    watcher.on_event(started(TWO), TWO)
    watcher.on_event(COMPARED, None)
    assert [(kept.run_dir, kept.steps, kept.ended) for kept in made] == [("2", [], ""), ("1", [0], "finished")]


def test_a_comparison_within_a_run_belongs_to_it(made):
    watcher = observing()
    watcher.on_event(started(ONE), ONE)
    watcher.on_event(COMPARED, ONE)
    assert [(kept.steps, kept.ended) for kept in made] == [([0], "")]


def test_the_installed_observer_does_nothing_without_the_variable(made):
    watcher = InstalledObserver()
    for event in [started(ONE), COMPARED, finished(ONE)]:
        watcher.on_event(event, ONE)
    watcher.on_event(COMPARED, None)
    assert made == []


def test_the_installed_observer_records_where_the_variable_says(made, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    watcher = InstalledObserver()
    watcher.on_event(started(ONE), ONE)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # a run goes on as it began
    watcher.on_event(finished(ONE), ONE)
    opening = made[0].commands[0]
    assert isinstance(opening, Open)
    assert opening.tracking_uri == "http://there"
    assert made[0].ended == "finished"


def test_a_manager_tells_both_observers_the_run(made, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    for watcher in (observing(), plugin):
        manager = build_manager([watcher], discover=False)
        manager.announce(started(ONE), ONE)
        manager.announce(finished(ONE), ONE)
    assert [kept.ended for kept in made] == ["finished", "finished"]


def test_the_program_never_imports_mlflow():
    code = "import sys, lorasdk_mlflow, lorasdk_mlflow.recording; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
