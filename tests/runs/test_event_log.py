import json
from pathlib import Path

import pytest

from lorasdk import Notice
from lorasdk.runs.event_log import EventLog, read_events

FIRST, SECOND = Notice("a.first", "数据"), Notice("a.second", "two")


def test_events_are_in_the_file_as_soon_as_they_happen(tmp_path: Path):
    with EventLog(tmp_path / "events.jsonl") as log:
        log(FIRST)
        (line,) = (tmp_path / "events.jsonl").read_text("utf-8").splitlines()
        assert json.loads(line)["event"] == "Notice"
        log(SECOND)
    assert list(read_events(tmp_path / "events.jsonl")) == [FIRST, SECOND]


def test_a_run_that_is_taken_up_again_goes_on_below(tmp_path: Path):
    for event in (FIRST, SECOND):
        with EventLog(tmp_path / "events.jsonl") as log:
            log(event)
    assert list(read_events(tmp_path / "events.jsonl")) == [FIRST, SECOND]


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event":"Noti', "utf-8")
    with EventLog(path) as log:
        log(FIRST)
    assert list(read_events(path)) == [FIRST]


def test_events_of_a_newer_release_are_left_out(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event":"MoonRose","version":2}\n', "utf-8")
    assert list(read_events(path)) == []


def test_X63_a_folder_that_refuses_is_logged_once_and_stops_nothing(tmp_path: Path, caplog):
    with EventLog(tmp_path / "absent" / "events.jsonl") as log:
        log(FIRST)
        log(SECOND)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_X62_a_full_disk_is_logged_once_and_stops_nothing(caplog):
    with EventLog(Path("/dev/full")) as log:
        log(FIRST)
        log(SECOND)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_after_the_block_nothing_is_written(tmp_path: Path):
    with EventLog(tmp_path / "events.jsonl") as log:
        log(FIRST)
    log(SECOND)
    assert list(read_events(tmp_path / "events.jsonl")) == [FIRST]
