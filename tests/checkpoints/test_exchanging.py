from pathlib import Path

import pytest

from lorasdk.checkpoints import exchanging
from lorasdk.checkpoints.exchanging import exchange
from lorasdk.checkpoints.whole_folder import whole_folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    return tmp_path / "one", tmp_path / "other"


def names(*folders: Path) -> list[str]:
    return [path.name for folder in folders for path in folder.iterdir()]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_two_folders_get_each_others_names(pair, monkeypatch, in_one_step: bool):
    if not in_one_step:
        monkeypatch.setattr(exchanging, "_in_one_step", lambda _one, _other: False)
    exchange(*pair)
    assert names(*pair) == ["other", "one"]
    assert len(list(pair[0].parent.iterdir())) == 2


def test_linux_does_it_in_one_step(pair, monkeypatch):
    def never(*_paths):
        raise AssertionError

    monkeypatch.setattr(exchanging, "_in_three", never)
    exchange(*pair)
    assert names(*pair) == ["other", "one"]


def test_what_the_system_refuses_leaves_both_as_they_were(pair, tmp_path: Path):
    with pytest.raises(OSError, match="No such file"):
        exchange(pair[0], tmp_path / "absent")
    assert names(*pair) == ["one", "other"]


def test_a_folder_is_replaced_whole(pair):
    with whole_folder(pair[0], what="it", code="export.disk", replacing=True) as draft:
        (draft / "new").touch()
        assert names(pair[0]) == ["one"]
    assert names(pair[0]) == ["new"]
    assert {path.name for path in pair[0].parent.iterdir()} == {"one", "other"}


def test_a_replacement_that_fails_leaves_the_old_folder(pair):
    with pytest.raises(ZeroDivisionError), whole_folder(pair[0], what="it", code="export.disk", replacing=True):
        raise ZeroDivisionError
    assert names(pair[0]) == ["one"]
    assert {path.name for path in pair[0].parent.iterdir()} == {"one", "other"}
