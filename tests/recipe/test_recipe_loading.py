"""`load_recipe`: what counts as what, and the shape of a whole recipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.loading import MINIMAL
from lorasdk.recipe.schema import BaseModelSection, DataSection, LoraSection

TEXT = "version: 1\nname: x\ndata: {train: rows.jsonl}\n"


def problem_of(source):
    with pytest.raises(RecipeError) as caught:
        load_recipe(source)
    (problem,) = caught.value.problems
    return problem


def test_the_minimal_recipe_of_the_messages_is_a_recipe():
    assert load_recipe(MINIMAL).data.train.options == {"path": "rows.jsonl"}


def test_a_path_a_string_of_one_line_a_text_json_a_mapping_and_a_recipe_say_the_same(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(TEXT)
    mapping = {"version": 1, "name": "x", "data": {"train": Path("rows.jsonl")}}
    written = json.dumps({"name": "x", "data": {"train": "rows.jsonl"}})
    recipes = [load_recipe(source) for source in (path, str(path), TEXT, written, mapping)]
    assert all(recipe == recipes[0] for recipe in recipes)
    assert load_recipe(recipes[0]) is recipes[0]


def test_sections_built_in_code_may_stand_in_a_mapping():
    recipe = load_recipe({"name": "x", "data": DataSection(train="a"), "lora": LoraSection(rank=4)})
    assert recipe.lora.rank == 4


def test_paths_start_at_the_file_or_at_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "r.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert load_recipe("r.yaml").path("rows.jsonl") == tmp_path / "rows.jsonl"
    assert load_recipe(TEXT).base_dir == tmp_path
    assert load_recipe(TEXT).path("~/a") == Path("/home/me/a")
    assert load_recipe(TEXT).path("/a") == Path("/a")


def test_places_name_the_file_as_it_was_given(tmp_path, monkeypatch):
    (tmp_path / "r.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("r.yaml")
    assert recipe.place("data", "train", "path") == "r.yaml:3:15"
    assert recipe.place("lora", "rank") == "r.yaml:1:1"
    assert load_recipe({"name": "x", "data": {"train": "a"}}).place("name") == ""


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n"])
def test_R12_an_empty_recipe_shows_a_minimal_one(text):
    problem = problem_of(text)
    assert problem.code == "recipe.empty"
    assert problem.message == "the recipe is empty"
    assert MINIMAL in problem.fix


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "list"), ("hello\n", "str"), ("\n3\n", "int")])
def test_R13_what_is_no_mapping_is_told_apart(text, kind):
    problem = problem_of(text)
    assert problem.message == f"expected a mapping, got {kind}"
    assert ":" in problem.place


def test_a_mapping_that_contains_itself_is_refused():
    loop = {}
    loop["data"] = loop
    assert problem_of(loop).code == "recipe.too-large"


def test_a_recipe_with_overrides_keeps_its_folder_and_places(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(TEXT)
    changed = load_recipe(load_recipe(path), overrides={"lora.rank": 4})
    assert changed.lora.rank == 4
    assert changed.base_dir == tmp_path
    assert changed.place("data") == f"{path}:3:7"
    assert changed.place("lora", "rank") == "override lora.rank"


def test_loading_a_recipe_is_light():
    code = (
        "import sys, time; from lorasdk.recipe import load_recipe; light = 'ruamel.yaml' not in sys.modules;"
        f"load_recipe({TEXT!r}); began = time.perf_counter(); load_recipe({TEXT!r});"
        "seconds = time.perf_counter() - began;"
        "sys.stdout.write(f\"{light} {seconds < 0.05} {'torch' in sys.modules}\")"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True False"


def test_code_may_hand_over_a_recipe_with_a_secret():
    recipe = Recipe(name="x", data=DataSection(train="a"), base_model=BaseModelSection(token="hf_abc"))
    assert load_recipe(recipe, overrides=["lora.rank=4"]).base_model.token.get_secret_value() == "hf_abc"
