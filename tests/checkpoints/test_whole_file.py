import errno
import json
from pathlib import Path

import pytest

from lorasdk.checkpoints import fault_points, whole_file
from lorasdk.checkpoints.whole_file import write_whole_json


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch):
    seen: list[object] = []
    path = tmp_path / "run.json"
    write_whole_json(path, {"step": 1})
    monkeypatch.setattr(fault_points, "reach", lambda _point: seen.append(json.loads(path.read_text())["step"]))
    write_whole_json(path, {"step": 2})
    assert seen == [1, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch):
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "run.json"
    write_whole_json(path, {"step": 1})
    monkeypatch.setattr(whole_file, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole_json(path, {"step": 2})
    assert json.loads(path.read_text()) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_reaches_the_disk_before_its_name_and_its_name_before_the_end(tmp_path: Path, monkeypatch):
    order: list[str] = []
    monkeypatch.setattr(whole_file, "flush", lambda path: order.append(path.suffix or path.name))
    monkeypatch.setattr(fault_points, "reach", order.append)
    write_whole_json(tmp_path / "run.json", {})
    renamed = ["file-before-rename", "file-after-rename"]
    assert order == ["file-draft-written", ".draft", *renamed, tmp_path.name]
