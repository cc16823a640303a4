"""Models in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasdk.builtin.folder_source import FolderSource
from lorasdk.contracts import SourceRequest
from lorasdk.errors import ModelError


def request(reference: str, base_dir: Path) -> SourceRequest:
    return SourceRequest(reference, None, base_dir, "recipe.yaml:3:11")


def test_a_folder_is_found_relative_to_the_recipe(tmp_path: Path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    located = FolderSource().locate(request("./tiny", tmp_path))
    assert (located.path, located.format, located.identity) == (tmp_path / "tiny", "folder", "folder:./tiny")


@pytest.mark.parametrize(
    ("name", "says"),
    [("absent", "there is no such folder"), ("empty", "no config.json"), ("file", "a file, not a folder")],
)
def test_what_is_wrong_is_told_with_place_and_path(name: str, says: str, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (problem,) = FolderSource().check(request(name, tmp_path))
    assert says in problem.message
    assert str(tmp_path / name) in problem.message
    assert problem.place == "recipe.yaml:3:11"


def test_locate_raises_what_check_says(tmp_path: Path):
    with pytest.raises(ModelError, match="no such folder"):
        FolderSource().locate(request("absent", tmp_path))
