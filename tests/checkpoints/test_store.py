import errno
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import ALL_NAMES, a_store, fill, is_whole, names, save

from lorasdk import CheckpointError, CheckpointSaved, Notice, ResourceError
from lorasdk.checkpoints import fault_points, store
from lorasdk.checkpoints.layout import step_path


def checkpoint(run_dir: Path, step: int) -> Path:
    return step_path(run_dir / "checkpoints", step)


def newest_step(run_dir: Path, events: list | None = None) -> int:
    found = a_store(run_dir, events=events).newest()
    assert found is not None
    assert is_whole(found)
    return found.step


def codes(events: list) -> list[str]:
    return [event.code for event in events if isinstance(event, Notice)]


def test_what_is_saved_comes_back_with_its_facts(tmp_path: Path):
    events: list = []
    path = a_store(tmp_path, events=events).save(12, fill(12), {"position": 12})
    found = a_store(tmp_path).newest()
    assert found is not None
    assert (found.path, found.step, found.facts) == (path, 12, {"position": 12})
    assert is_whole(found)
    assert path == tmp_path / "checkpoints" / "step-00000012"
    assert events == [CheckpointSaved(path, 12)]


def test_without_a_checkpoint_there_is_none(tmp_path: Path):
    assert a_store(tmp_path).newest() is None
    a_store(tmp_path).clean()
    assert list(tmp_path.iterdir()) == []


def test_as_many_are_kept_as_asked_for(tmp_path: Path):
    save(tmp_path, 1, 2, 3, 4, 5, keep=3)
    assert names(tmp_path) == ["step-00000003", "step-00000004", "step-00000005"]


def test_the_checkpoint_just_saved_and_later_ones_are_never_removed(tmp_path: Path):
    save(tmp_path, 8, 9, keep=2)
    save(tmp_path, 3, 4, keep=1)
    assert names(tmp_path) == ["step-00000004", "step-00000008", "step-00000009"]


def test_a_whole_checkpoint_of_the_same_step_is_left(tmp_path: Path):
    save(tmp_path, 4)
    before = checkpoint(tmp_path, 4).stat().st_ino
    a_store(tmp_path).save(4, lambda _: pytest.fail("it was written again"), {})
    assert checkpoint(tmp_path, 4).stat().st_ino == before


def test_a_damaged_checkpoint_of_the_same_step_is_moved_away_and_written_anew(tmp_path: Path):
    events: list = []
    save(tmp_path, 4)
    (checkpoint(tmp_path, 4) / "rng.json").unlink()
    save(tmp_path, 4, events=events)
    assert newest_step(tmp_path) == 4
    assert not (tmp_path / "checkpoints" / "damaged" / "step-00000004" / "rng.json").exists()
    assert codes(events) == ["checkpoint.quarantined"]


def test_facts_that_json_cannot_hold_are_refused_before_anything_is_written(tmp_path: Path):
    for facts in ({"loss": float("nan")}, {"path": tmp_path}):
        with pytest.raises((TypeError, ValueError)):
            a_store(tmp_path).save(1, fill(1), facts)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_is_reached_before_the_rename_and_the_folder_after_it(tmp_path: Path, monkeypatch):
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: order.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    monkeypatch.setattr(fault_points, "reach", lambda point: order.append(f"<{point}>"))
    save(tmp_path, 1)
    flushed = order[order.index("<before-flush>") + 1 : order.index("<after-flush>")]
    assert {Path(name).name for name in ALL_NAMES} | {"state"} <= set(flushed)
    assert flushed[-1].endswith(".draft")
    assert flushed.index("position.json") < flushed.index("state")
    assert order[order.index("<after-rename>") + 1 : order.index("<parent-flushed>")] == ["checkpoints"]


def test_X62_a_full_disk_leaves_older_checkpoints_and_no_draft(tmp_path: Path):
    def full(folder: Path) -> None:
        fill(8)(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    events: list = []
    save(tmp_path, 4)
    with pytest.raises(ResourceError, match="No space left") as caught:
        a_store(tmp_path, events=events).save(8, full, {})
    assert caught.value.code == "checkpoint.disk"
    assert "bytes free" in caught.value.problems[0].found
    assert " bytes" in caught.value.problems[0].allowed
    assert events == []
    assert names(tmp_path) == ["step-00000004"]
    assert newest_step(tmp_path) == 4


def test_X62_the_bytes_needed_are_at_least_those_of_the_last_checkpoint(tmp_path: Path):
    def full(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    a_store(tmp_path).save(4, lambda folder: (folder / "weights").write_bytes(bytes(123_456)) and None, {})
    with pytest.raises(ResourceError) as caught:
        a_store(tmp_path).save(8, full, {})
    manifest = (checkpoint(tmp_path, 4) / "manifest.json").stat().st_size
    assert f"{123_456 + manifest:,} bytes" in caught.value.problems[0].allowed


def test_X63_a_run_folder_that_vanished_is_not_made_again(tmp_path: Path):
    events: list = []
    with pytest.raises(ResourceError) as caught:
        save(tmp_path / "gone", 4, events=events)
    assert caught.value.code == "checkpoint.disk"
    assert "no folder" in caught.value.problems[0].found
    assert events == []
    assert not (tmp_path / "gone").exists()


def test_X63_a_folder_deleted_during_a_save_is_an_error_of_ours(tmp_path: Path):
    def vanish(folder: Path) -> None:
        fill(4)(folder)
        (tmp_path / "checkpoints").rename(tmp_path / "elsewhere")

    events: list = []
    with pytest.raises(ResourceError):
        a_store(tmp_path, events=events).save(4, vanish, {})
    assert events == []


def test_an_error_of_the_writer_passes_and_leaves_no_draft(tmp_path: Path):
    def fail(folder: Path) -> None:
        fill(4)(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a_store(tmp_path).save(4, fail, {})
    assert names(tmp_path) == []


def test_a_rotation_that_fails_does_not_unsay_what_was_saved(tmp_path: Path, monkeypatch):
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    events: list = []
    monkeypatch.setattr(store, "rotate", refuse)
    save(tmp_path, 1, events=events)
    assert [type(event) for event in events] == [CheckpointSaved, Notice]
    assert codes(events) == ["checkpoint.not-removed"]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_X65_a_missing_file_makes_the_one_before_the_newest(tmp_path: Path, name: str):
    events: list = []
    save(tmp_path, 4, 8)
    (checkpoint(tmp_path, 8) / name).unlink()
    assert newest_step(tmp_path, events) == 4
    assert codes(events) == ["checkpoint.quarantined"]
    reason = (tmp_path / "checkpoints" / "damaged" / "step-00000008" / "reason.json").read_text()
    assert f"{name} is missing" in reason
    assert f"{name} is missing" in events[0].message


@pytest.mark.parametrize("name", ALL_NAMES)
def test_X66_a_truncated_file_makes_the_one_before_the_newest(tmp_path: Path, name: str):
    random_offsets = random.Random(name)
    for number in range(3):
        run_dir = tmp_path / str(number)
        run_dir.mkdir()
        save(run_dir, 4, 8)
        path = checkpoint(run_dir, 8) / name
        os.truncate(path, random_offsets.randrange(path.stat().st_size))
        assert newest_step(run_dir) == 4


@pytest.mark.parametrize("name", ALL_NAMES)
def test_X67_one_flipped_bit_makes_the_one_before_the_newest(tmp_path: Path, name: str):
    save(tmp_path, 4, 8)
    path = checkpoint(tmp_path, 8) / name
    bits, before = random.Random(name), path.read_bytes()
    changed = bytearray(before)
    changed[bits.randrange(len(before))] ^= 1 << bits.randrange(8)
    path.write_bytes(changed)
    events: list = []
    assert newest_step(tmp_path, events) == 4
    assert name in events[0].message
    assert "sha256" in events[0].message


def test_a_checkpoint_under_another_step_is_not_believed(tmp_path: Path):
    save(tmp_path, 4, 8)
    checkpoint(tmp_path, 4).rename(checkpoint(tmp_path, 12))
    assert newest_step(tmp_path) == 8


def test_a_link_in_place_of_a_file_is_damage(tmp_path: Path):
    save(tmp_path, 4, 8)
    path = checkpoint(tmp_path, 8) / "rng.json"
    path.rename(tmp_path / "rng.json")
    path.symlink_to(tmp_path / "rng.json")
    assert newest_step(tmp_path) == 4


def test_a_name_in_quarantine_is_not_taken_twice(tmp_path: Path):
    for _ in range(3):
        save(tmp_path, 4, 8)
        (checkpoint(tmp_path, 8) / "rng.json").unlink()
        assert newest_step(tmp_path) == 4
    shelf = tmp_path / "checkpoints" / "damaged"
    assert sorted(path.name for path in shelf.iterdir()) == ["step-00000008", "step-00000008-2", "step-00000008-3"]


def test_a_damaged_checkpoint_that_cannot_be_moved_is_passed_over(tmp_path: Path, monkeypatch):
    def refuse(_damage: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    events: list = []
    save(tmp_path, 4, 8)
    (checkpoint(tmp_path, 8) / "rng.json").unlink()
    monkeypatch.setattr(store, "quarantine", refuse)
    assert newest_step(tmp_path, events) == 4
    assert codes(events) == ["checkpoint.damaged-in-place"]


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch):
    def refuse(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    save(tmp_path, 4, 8)
    monkeypatch.setattr("lorasdk.checkpoints.verifying.record_of", refuse)
    with pytest.raises(ResourceError) as caught:
        a_store(tmp_path).newest()
    assert caught.value.code == "checkpoint.unreadable"
    assert names(tmp_path) == ["step-00000004", "step-00000008"]


def test_X68_foreign_things_are_ignored_with_a_notice(tmp_path: Path):
    save(tmp_path, 4)
    folder = tmp_path / "checkpoints"
    (folder / "step-00000099").mkdir()
    (folder / "step-abc").mkdir()
    (folder / "step-00000077").write_text("mine")
    (folder / "step-00000088").symlink_to(checkpoint(tmp_path, 4))
    (folder / "step-7").mkdir()
    (folder / ".step-abc.draft").mkdir()
    before, events = names(tmp_path), []
    a_store(tmp_path, events=events).clean()
    assert newest_step(tmp_path) == 4
    assert names(tmp_path) == before
    assert codes(events) == ["checkpoint.ignored"] * 6
    assert {Path(event.message.split(": ", 1)[1]).name for event in events} == set(before) - {"step-00000004"}


def test_X68_an_empty_folder_does_not_stop_the_save_of_its_step(tmp_path: Path):
    save(tmp_path, 4)
    checkpoint(tmp_path, 8).mkdir()
    save(tmp_path, 8)
    assert newest_step(tmp_path) == 8


def test_X68_a_file_or_link_where_a_checkpoint_goes_is_not_overwritten(tmp_path: Path):
    save(tmp_path, 4)
    checkpoint(tmp_path, 8).symlink_to(checkpoint(tmp_path, 4))
    checkpoint(tmp_path, 9).write_text("mine")
    for step in (8, 9):
        with pytest.raises(CheckpointError) as caught:
            save(tmp_path, step)
        assert caught.value.code == "checkpoint.in-the-way"
    assert checkpoint(tmp_path, 8).is_symlink()
    assert checkpoint(tmp_path, 9).read_text() == "mine"


def test_X69_when_all_are_damaged_each_is_listed_and_none_is_touched(tmp_path: Path):
    save(tmp_path, 4, 8)
    (checkpoint(tmp_path, 4) / "rng.json").unlink()
    os.truncate(checkpoint(tmp_path, 8) / "manifest.json", 10)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError) as caught:
        a_store(tmp_path).newest()
    assert [Path(problem.place).name for problem in caught.value.problems] == ["step-00000008", "step-00000004"]
    assert "manifest.json" in caught.value.problems[0].message
    assert "rng.json is missing" in caught.value.problems[1].message
    assert sorted(tmp_path.rglob("*")) == before


def test_X69_the_only_checkpoint_lost_between_quarantine_and_rename_is_not_forgotten(tmp_path: Path, monkeypatch):
    def die(point: str) -> None:
        if point == "after-quarantine":
            raise SystemExit

    save(tmp_path, 4)
    (checkpoint(tmp_path, 4) / "rng.json").unlink()
    monkeypatch.setattr(fault_points, "reach", die)
    with pytest.raises(SystemExit):
        save(tmp_path, 4)
    with pytest.raises(CheckpointError, match=r"rng\.json is missing"):
        a_store(tmp_path).newest()


@pytest.mark.parametrize("times", [(7, 7, 7), (9, 5, 1)], ids=["equal", "backwards"])
def test_X85_order_is_by_step_whatever_the_clock_says(tmp_path: Path, times: tuple[int, ...]):
    save(tmp_path, 4, 8, 12, keep=3)
    for step, time in zip((4, 8, 12), times, strict=True):
        os.utime(checkpoint(tmp_path, step), (time, time))
    assert newest_step(tmp_path) == 12
    save(tmp_path, 16)
    assert names(tmp_path) == ["step-00000012", "step-00000016"]


def test_drafts_of_a_killed_process_go_from_the_runs_folder_too(tmp_path: Path):
    save(tmp_path, 4)
    (tmp_path / ".adapter-0123abcd.draft").mkdir()
    (tmp_path / ".lock.json-0123abcd.draft").write_text("{")
    (tmp_path / "checkpoints" / ".step-00000008-0123abcd.draft").mkdir()
    a_store(tmp_path).clean()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
    assert names(tmp_path) == ["step-00000004"]


BYTES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@BYTES
@given(st.binary(max_size=200))
def test_any_bytes_as_reason_are_survived(tmp_path: Path, text: bytes):
    folder = tmp_path / "checkpoints" / "damaged" / "step-00000004"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reason.json").write_bytes(text)
    with pytest.raises(CheckpointError):
        a_store(tmp_path).newest()
