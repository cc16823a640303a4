"""A passport is read from the adapter's own folder, and from a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorasdk.artifacts.passport import FILE_NAME, read_passport
from lorasdk.errors import AdapterError


def refusal(folder: Path) -> str:
    with pytest.raises(AdapterError) as caught:
        read_passport(folder)
    return caught.value.code


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (tmp_path / "private.json").write_text("{}")
    (folder / FILE_NAME).symlink_to(tmp_path / "private.json")
    assert refusal(folder) == "adapter.link-outside"


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / FILE_NAME)
    assert refusal(tmp_path) == "adapter.damaged-passport"


@pytest.mark.parametrize("target", ["/dev/zero", "nowhere"])
def test_a_device_or_nothing_is_no_passport(tmp_path: Path, target: str):
    (tmp_path / FILE_NAME).symlink_to(target)
    assert refusal(tmp_path) == "adapter.link-outside"
