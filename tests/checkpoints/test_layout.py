import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_checkpoints import a_store, checkpoint, codes, names, newest_step, save

from lorasdk import CheckpointError, CheckpointSaved, Notice
from lorasdk.checkpoints import rotation, store


def test_as_many_are_kept_as_asked_for(tmp_path: Path):
    save(tmp_path, 1, 2, 3, 4, 5, keep=3)
    assert names(tmp_path) == ["step-00000003", "step-00000004", "step-00000005"]


def test_the_checkpoint_just_saved_and_later_ones_are_never_removed(tmp_path: Path):
    save(tmp_path, 8, 9, keep=2)
    save(tmp_path, 3, 4, keep=1)
    assert names(tmp_path) == ["step-00000004", "step-00000008", "step-00000009"]


def test_a_rotation_that_fails_does_not_unsay_what_was_saved(tmp_path: Path, monkeypatch):
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    events: list = []
    monkeypatch.setattr(store, "rotate", refuse)
    save(tmp_path, 1, events=events)
    assert [type(event) for event in events] == [CheckpointSaved, Notice]
    assert codes(events) == ["checkpoint.not-removed"]


def test_X68_foreign_things_are_ignored_with_a_notice(tmp_path: Path):
    save(tmp_path, 4)
    folder = tmp_path / "checkpoints"
    (folder / "step-00000099").mkdir()
    (folder / "step-abc").mkdir()
    (folder / "step-00000077").write_text("mine")
    (folder / "step-00000088").symlink_to(checkpoint(tmp_path, 4))
    shutil.copytree(checkpoint(tmp_path, 4), folder / "step-7")
    shutil.copytree(checkpoint(tmp_path, 4), folder / "step-000000004")
    (folder / ".step-abc.draft").mkdir()
    before, events = names(tmp_path), []
    a_store(tmp_path, events=events).clean()
    assert newest_step(tmp_path) == 4
    assert names(tmp_path) == before
    assert codes(events) == ["checkpoint.ignored"] * 7
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
    (tmp_path / ".mine.draft").write_text("mine")
    (tmp_path / ".link-0123abcd.draft").symlink_to(tmp_path / ".mine.draft")
    (tmp_path / "checkpoints" / ".step-00000008-0123abcd.draft").mkdir()
    a_store(tmp_path).clean()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", ".mine.draft", ".link-0123abcd.draft"}
    assert names(tmp_path) == ["step-00000004"]


def test_a_removal_that_breaks_off_leaves_no_half_checkpoint(tmp_path: Path, monkeypatch):
    def break_off(folder: Path) -> None:
        (folder / "rng.json").unlink()
        raise OSError(errno.EIO, "Input/output error")

    events: list = []
    save(tmp_path, 4, 8)
    monkeypatch.setattr(rotation, "shutil", SimpleNamespace(rmtree=break_off))
    save(tmp_path, 12, events=events)
    monkeypatch.undo()
    assert codes(events) == ["checkpoint.not-removed"]
    a_store(tmp_path).clean()
    assert names(tmp_path) == ["step-00000008", "step-00000012"]
