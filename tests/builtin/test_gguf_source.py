"""Models in GGUF files."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasdk.builtin.gguf_source import GgufSource
from lorasdk.contracts import SourceRequest
from lorasdk.errors import ModelError


def request(reference: str, base_dir: Path) -> SourceRequest:
    return SourceRequest(reference, None, base_dir, "recipe.yaml:3:11")


def test_a_file_is_found_relative_to_the_recipe(tmp_path: Path):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF and more")
    located = GgufSource().locate(request("tiny.gguf", tmp_path))
    assert (located.path, located.format, located.identity) == (tmp_path / "tiny.gguf", "gguf", "gguf:tiny.gguf")


def test_an_absent_file_is_told_with_its_path(tmp_path: Path):
    (problem,) = GgufSource().check(request("tiny.gguf", tmp_path))
    assert "No such file" in problem.message
    assert str(tmp_path / "tiny.gguf") in problem.message


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip"])
def test_M50_a_file_that_does_not_begin_like_a_gguf_is_named(content: bytes, tmp_path: Path):
    (tmp_path / "tiny.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"instead of b'GGUF': .*tiny\.gguf"):
        GgufSource().locate(request("tiny.gguf", tmp_path))
