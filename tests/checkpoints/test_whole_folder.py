from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError

from lorasdk import ResourceError
from lorasdk.checkpoints.whole_folder import bytes_in, whole_folder


def writing(folder: Path, **more):
    return whole_folder(folder, what="the thing", code="thing.disk", **more)


def test_the_folder_appears_at_the_end_of_the_block_and_not_before(tmp_path: Path):
    with writing(tmp_path / "thing") as draft:
        (draft / "a").write_text("a")
        assert not (tmp_path / "thing").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
    assert (tmp_path / "thing" / "a").read_text() == "a"


def test_it_gets_the_rights_of_any_folder_its_user_makes(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    with writing(tmp_path / "thing"):
        pass
    assert (tmp_path / "thing").stat().st_mode == (tmp_path / "mine").stat().st_mode


def test_folders_above_are_made_only_where_asked_for(tmp_path: Path):
    with pytest.raises(ResourceError), writing(tmp_path / "a" / "b" / "thing"):
        pass
    assert list(tmp_path.iterdir()) == []
    with writing(tmp_path / "a" / "b" / "thing", parents=True):
        pass
    assert (tmp_path / "a" / "b" / "thing").is_dir()


def test_what_somebody_else_put_there_meanwhile_is_not_overwritten(tmp_path: Path):
    with pytest.raises(ResourceError, match="could not be written"), writing(tmp_path / "thing"):
        (tmp_path / "thing" / "mine").mkdir(parents=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["thing", "mine"]


def test_tensors_that_cannot_be_written_are_no_fault_of_the_disk(tmp_path: Path):
    with pytest.raises(SafetensorError), writing(tmp_path / "thing"):
        raise SafetensorError("Error while serializing: shape and data do not agree")
    assert list(tmp_path.iterdir()) == []


def test_a_size_is_told_as_far_as_it_can_be_seen(tmp_path: Path, monkeypatch):
    def lstat(path: Path) -> SimpleNamespace:
        if path.name == "gone":
            raise FileNotFoundError
        return SimpleNamespace(st_size=3)

    for name in ("a", "gone"):
        (tmp_path / name).touch()
    monkeypatch.setattr(Path, "lstat", lstat)
    assert bytes_in(tmp_path) == 3
    assert bytes_in(tmp_path / "gone") == 0
