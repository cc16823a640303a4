import errno
import os
from pathlib import Path

import pytest
from tiny_checkpoints import ALL_NAMES, a_store, checkpoint, codes, fill, is_whole, names, newest_step, save

from lorasdk import CheckpointSaved, ResourceError
from lorasdk.checkpoints import fault_points


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
