import errno
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import ALL_NAMES, a_store, checkpoint, codes, names, newest_step, save

from lorasdk import CheckpointError, ResourceError
from lorasdk.checkpoints import fault_points, store

BYTES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_whatever_lies_in_quarantine_has_its_reason(tmp_path: Path, monkeypatch):
    reasons: list[bool] = []
    save(tmp_path, 4, 8)
    (checkpoint(tmp_path, 8) / "rng.json").unlink()
    monkeypatch.setattr(
        fault_points, "reach", lambda _point: reasons.append((checkpoint(tmp_path, 8) / "reason.json").exists())
    )
    assert newest_step(tmp_path) == 4
    assert reasons[-2:] == [True, False]  # before it is moved it is there, and goes with it


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
        size = path.stat().st_size
        left = random_offsets.randrange(size)
        os.truncate(path, left)
        events: list = []
        assert newest_step(run_dir, events) == 4
        assert name in events[0].message
        assert name == "manifest.json" or f"has {left} of {size} bytes" in events[0].message


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


def test_a_move_into_quarantine_reaches_the_disk(tmp_path: Path, monkeypatch):
    order: list[str] = []
    save(tmp_path, 4, 8)
    (checkpoint(tmp_path, 8) / "rng.json").unlink()
    monkeypatch.setattr("lorasdk.checkpoints.quarantine.flush", lambda path: order.append(path.name))
    monkeypatch.setattr(fault_points, "reach", lambda point: order.append(f"<{point}>"))
    assert newest_step(tmp_path) == 4
    assert order[-4:] == ["<before-quarantine>", "damaged", "checkpoints", "<after-quarantine>"]


def test_a_pipe_in_place_of_an_empty_file_is_not_waited_for(tmp_path: Path):
    save(tmp_path, 4)
    path = a_store(tmp_path).save(8, lambda folder: (folder / "log").touch(), {}) / "log"
    path.unlink()
    os.mkfifo(path)
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


@BYTES
@given(st.binary(max_size=200))
def test_any_bytes_as_reason_are_survived(tmp_path: Path, text: bytes):
    folder = tmp_path / "checkpoints" / "damaged" / "step-00000004"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reason.json").write_bytes(text)
    with pytest.raises(CheckpointError):
        a_store(tmp_path).newest()
