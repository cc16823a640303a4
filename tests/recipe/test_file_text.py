"""From a path to text, or to the precise reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe import load_recipe
from lorasdk.recipe.file_text import MAX_BYTES, read_recipe_file

RECIPE = "version: 1\nname: café\ndata: {train: rows.jsonl}\n"


def problem_of(path: Path):
    with pytest.raises(RecipeError) as caught:
        read_recipe_file(path)
    (problem,) = caught.value.problems
    return problem


def test_R14_a_missing_file_is_named_absolutely_with_its_neighbours(tmp_path, monkeypatch):
    (tmp_path / "other.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    problem = problem_of(Path("recipe.yaml"))
    assert problem.code == "recipe.no-such-file"
    assert problem.place == str(tmp_path / "recipe.yaml")
    assert "other.yaml" in problem.fix


def test_R14_a_folder_is_called_a_folder(tmp_path):
    problem = problem_of(tmp_path)
    assert (problem.code, problem.place) == ("recipe.is-folder", str(tmp_path))


def test_R14_a_file_without_permission_says_so(tmp_path, monkeypatch):
    path = tmp_path / "secret.yaml"
    path.write_text(RECIPE)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    problem = problem_of(path)
    assert (problem.code, problem.place) == ("recipe.not-readable", str(path))
    assert "permission" in problem.message


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 5000 + ".yaml"])
def test_R14_a_path_that_cannot_exist_is_a_recipe_error(name):
    assert problem_of(Path(name)).code == "recipe.not-readable"


def test_R15_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + RECIPE.encode())
    assert load_recipe(path).place("name") == f"{path}:2:7"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_R15_utf_16_is_named_with_its_byte(tmp_path, encoding):
    path = tmp_path / "r.yaml"
    path.write_bytes(RECIPE.encode(encoding))
    problem = problem_of(path)
    assert problem.code == "recipe.encoding"
    assert "UTF-16" in problem.found
    assert problem.message.startswith("byte ")


def test_R15_latin_1_is_named_with_the_offset_and_place_of_its_first_byte(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(RECIPE.encode("latin-1"))
    problem = problem_of(path)
    assert problem.message == "byte 20 (0xE9) is not UTF-8"
    assert "Latin-1" in problem.found
    assert problem.place == f"{path}:2:10"


def test_R16_a_file_of_100_MB_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "r.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    sizes = []
    opened = Path.open

    class Watched:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.file.close()

        def read(self, size):
            sizes.append(size)
            return self.file.read(size)

    monkeypatch.setattr(Path, "open", lambda self, *args: Watched(opened(self, *args)))
    assert problem_of(path).code == "recipe.too-large"
    assert sizes == [MAX_BYTES + 1]


def test_R21_python_code_is_refused_and_the_way_in_code_shown(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text("raise SystemExit")
    problem = problem_of(path)
    assert problem.code == "recipe.is-code"
    assert "lorasdk.Recipe(name=" in problem.fix
