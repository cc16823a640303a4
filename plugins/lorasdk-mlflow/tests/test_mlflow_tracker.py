"""What a tracker asks of a server, with a server that only writes it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lorasdk_mlflow.commands import Close, Describe, Measure, Open, Reading, Upload
from lorasdk_mlflow.tracker import KnownRun, Tracker

END = Close(status="FINISHED", time_ms=9)


@dataclass
class WrittenDown:
    """A server with at most one run."""

    known: KnownRun | None = None
    steps: int = -1
    created: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: list[tuple[Path, str]] = field(default_factory=list)
    statuses: list[str | None] = field(default_factory=list)

    def find(self, experiment, tag, value):
        return self.known

    def create(self, experiment, run_name, tags):
        self.created.append((experiment, run_name, dict(tags)))
        return KnownRun("new", {})

    def log(self, run_id, *, readings=(), params=None, tags=None):
        self.measured += [reading.step for reading in readings]
        self.params |= params or {}
        self.tags |= tags or {}

    def upload(self, run_id, path, under):
        self.uploads.append((path, under))

    def set_status(self, run_id, status, time_ms=None):
        self.statuses.append(status)

    def last_step(self, run_id, metric):
        return self.steps


def opening(**fields) -> Open:
    usual = {
        "tracking_uri": "http://host",
        "experiment": "e",
        "run_name": "n",
        "run_dir": "/runs/1",
        "tags": {"a": "b"},
    }
    return Open.model_validate({**usual, **fields})


def measure(*steps: int) -> Measure:
    return Measure(readings=tuple(Reading(name="loss", value=1.0, step=step, time_ms=0) for step in steps))


def follow(server: WrittenDown, *commands) -> WrittenDown:
    Tracker(lambda _uri: server).follow(commands)
    return server


def test_a_new_run_is_created_measured_and_ended(tmp_path: Path):
    described = Describe(params={"lora.rank": "4"}, tags={"c": "d"})
    server = follow(WrittenDown(), opening(), described, measure(1, 2), Upload(path=str(tmp_path), under="x"), END)
    assert server.created == [("e", "n", {"a": "b", "lorasdk.run_dir": "/runs/1"})]
    assert (server.params, server.tags, server.measured) == ({"lora.rank": "4"}, {"c": "d"}, [1, 2])
    assert server.uploads == [(tmp_path, "x")]
    assert server.statuses == ["FINISHED"]


def test_a_known_run_is_only_looked_for_when_asked():
    assert follow(WrittenDown(known=KnownRun("old", {})), opening(), END).created


def test_a_run_that_is_not_found_is_created():
    assert follow(WrittenDown(), opening(find=True, resumed_from=3), END).created


def test_a_found_run_runs_again_and_ends_again():
    server = follow(WrittenDown(known=KnownRun("old", {})), opening(find=True), END)
    assert server.created == []
    assert server.statuses == [None, "FINISHED"]
    assert server.tags == {"a": "b", "lorasdk.run_dir": "/runs/1"}


def test_steps_that_a_resumed_run_has_are_not_logged_again():
    server = WrittenDown(known=KnownRun("old", {}), steps=6)
    follow(server, opening(find=True, resumed_from=4), measure(4, 5, 6, 7), measure(8), END)
    assert server.measured == [4, 7, 8]


def test_changed_parameters_of_a_resumed_run_are_tags():
    server = WrittenDown(known=KnownRun("old", {"lora.rank": "4", "device": "cpu"}))
    follow(server, opening(find=True), Describe(params={"lora.rank": "4", "device": "cuda:0", "new": "1"}), END)
    assert server.params == {"new": "1"}
    assert server.tags["lorasdk.resumed.device"] == "cuda:0"


def test_a_comparison_leaves_the_status_and_parameters_of_its_run():
    server = WrittenDown(known=KnownRun("old", {"lora.rank": "4"}))
    follow(server, opening(find=True, running=False), Describe(params={"lora.rank": "8"}), measure(0), END)
    assert server.statuses == []
    assert server.params == {}
    assert server.tags == {"a": "b", "lorasdk.run_dir": "/runs/1"}
    assert server.measured == [0]


def test_a_comparison_without_a_run_is_one_that_finishes():
    server = follow(WrittenDown(), opening(find=True, running=False), Close(status=None, time_ms=9))
    assert server.statuses == ["FINISHED"]


def test_what_is_not_there_is_not_uploaded(tmp_path: Path):
    assert follow(WrittenDown(), opening(), Upload(path=str(tmp_path / "report.html")), END).uploads == []


def test_what_keeps_artifacts_away_is_told_and_numbers_come_without_them(tmp_path: Path):
    class Forgetful(WrittenDown):
        def upload(self, run_id, path, under):
            super().upload(run_id, path, under)
            raise PermissionError("no bucket of yours")

    server, upload = Forgetful(), Upload(path=str(tmp_path))
    refused = Tracker(lambda _uri: server).follow([opening(), upload, upload, measure(1), END])
    assert str(refused) == "no bucket of yours"
    assert len(server.uploads) == 1
    assert (server.measured, server.statuses) == ([1], ["FINISHED"])


def test_a_run_whose_program_is_gone_is_killed():
    assert follow(WrittenDown(), opening(), measure(1)).statuses == ["KILLED"]


def test_nothing_is_asked_before_a_run_is_opened():
    assert follow(WrittenDown()) == WrittenDown()
