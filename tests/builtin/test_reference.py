"""Which model source a recipe means."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasdk.builtin.reference import resolve_path, split_reference
from lorasdk.errors import ModelError

KNOWN = ("folder", "gguf", "hub", "package")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hub:org/name", ("hub", "org/name")),
        ("package:dist/file.gguf", ("package", "dist/file.gguf")),
        ("folder:x:y", ("folder", "x:y")),
        ("models/tiny.Q4_1.GGUF", ("gguf", "models/tiny.Q4_1.GGUF")),
        ("./models/tiny", ("folder", "./models/tiny")),
        ("../tiny", ("folder", "../tiny")),
        ("/models/tiny", ("folder", "/models/tiny")),
        ("~/tiny", ("folder", "~/tiny")),
        (r"C:\models\tiny", ("folder", r"C:\models\tiny")),
        ("C:/models/tiny.gguf", ("gguf", "C:/models/tiny.gguf")),
        ("org/name", ("hub", "org/name")),
        ("gpt2", ("hub", "gpt2")),
    ],
)
def test_the_source_follows_from_the_spelling(source: str, expected: tuple[str, str], tmp_path: Path):
    assert split_reference(source, tmp_path, known=KNOWN) == expected


def test_an_existing_folder_is_preferred_to_the_hub(tmp_path: Path):
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert split_reference("org/name", tmp_path, known=KNOWN) == ("folder", "org/name")


def test_a_registered_plugin_is_a_source(tmp_path: Path):
    assert split_reference("vault:a", tmp_path, known=[*KNOWN, "vault"]) == ("vault", "a")


def test_an_unknown_prefix_lists_the_known_ones_and_the_nearest(tmp_path: Path):
    with pytest.raises(ModelError) as caught:
        split_reference("pakage:a/b.gguf", tmp_path, known=KNOWN)
    problem = caught.value.problems[0]
    assert problem.code == "model.unknown-source"
    assert problem.allowed == "folder:, gguf:, hub:, package:"
    assert "package:a/b.gguf" in problem.fix


def test_a_prefix_with_nothing_after_it_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="nothing comes after 'hub:'"):
        split_reference("hub:", tmp_path, known=KNOWN)


def test_paths_start_at_the_recipe(tmp_path: Path):
    assert resolve_path("./a/../b", tmp_path) == tmp_path.resolve() / "b"
