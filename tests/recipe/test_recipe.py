"""The `Recipe` as a value: equality, fingerprint, copies."""

from __future__ import annotations

import copy
import json
import pickle

import pydantic
import pytest

from lorasdk.recipe import load_recipe

TEXT = """version: 1
name: x
data: {train: {path: a/b.jsonl, format: text}, validation: 0.1}
lora: {rank: 4, alpha: 8, targets: [q_proj]}
"""


@pytest.mark.parametrize(
    "same",
    [
        TEXT.replace("alpha: 8", "alpha: 8.0"),
        TEXT.replace("a/b.jsonl", "./a/../a/b.jsonl"),
        TEXT.replace("name: x", "name: y\noutput_dir: elsewhere"),
        TEXT.replace("0.1", "{fraction: 0.1}"),
        TEXT + "training: {batch_size: 8}\n",
        TEXT + "training: {epochs: 3}\n",
        TEXT.replace("{rank: 4, alpha: 8, targets: [q_proj]}", "{targets: [q_proj], alpha: 8, rank: 4}"),
        TEXT.replace("path: a", "loader: file, path: a"),
    ],
)
def test_the_fingerprint_does_not_depend_on_spelling(same):
    assert load_recipe(same).fingerprint == load_recipe(TEXT).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("rank: 4", "rank: 5"),
        TEXT.replace("b.jsonl", "c.jsonl"),
        TEXT.replace("0.1", "10"),
        TEXT + "training: {epochs: 4}\n",
        TEXT + "training: {max_steps: 3}\n",
        TEXT.replace("format: text", "format: text, limit: 3"),
    ],
)
def test_the_fingerprint_depends_on_the_meaning(other):
    assert load_recipe(other).fingerprint != load_recipe(TEXT).fingerprint


@pytest.mark.parametrize(
    "section",
    ["evaluation: {forgetting: false}", "evaluation: {max_forgetting: 0.1}", "evaluation: {max_overlap: 0.5}"],
)
def test_what_is_measured_beside_the_scores_is_no_part_of_the_fingerprint(section: str):
    assert load_recipe(TEXT + section).fingerprint == load_recipe(TEXT).fingerprint


def test_the_fingerprint_is_64_hexadecimal_digits_and_stays_the_same_between_releases():
    minimal = load_recipe("version: 1\nname: x\ndata: {train: a}\n")
    assert minimal.fingerprint == "c1ca14d3b90b647fce01c2d6c2d52e4723f051adca306dfe7ff7bf96a67d43e8"


def test_a_recipe_equals_one_with_the_same_values_read_elsewhere(tmp_path):
    (tmp_path / "r.yaml").write_text(TEXT)
    one, other = load_recipe(TEXT), load_recipe(tmp_path / "r.yaml")
    assert one == other
    assert hash(one) == hash(other)
    assert one != load_recipe(TEXT, overrides=["name=y"])
    assert one != "x"


def test_copies_and_pickles_keep_everything():
    recipe = load_recipe(TEXT)
    for same in (copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe)), recipe.model_copy()):
        assert same == recipe
        assert same.place("lora", "rank") == "<text>:4:14"
        assert same.base_dir == recipe.base_dir


def test_a_recipe_and_its_options_cannot_be_changed():
    recipe = load_recipe(TEXT)
    with pytest.raises(pydantic.ValidationError):
        recipe.lora.rank = 5
    recipe.data.train.options["path"] = "elsewhere"
    assert recipe.data.train.options["path"] == "a/b.jsonl"


def test_the_dump_is_json_with_defaults_and_reads_back():
    dump = load_recipe(TEXT).dump()
    assert dump["training"]["batch_size"] == 8
    assert load_recipe(json.loads(json.dumps(dump))) == load_recipe(TEXT)


def test_another_folder_leaves_the_rest(tmp_path):
    moved = load_recipe(TEXT).with_base_dir(tmp_path)
    assert moved.path("a") == tmp_path / "a"
    assert moved.place("lora", "rank") == "<text>:4:14"


def test_the_nearest_known_place_is_given():
    recipe = load_recipe(TEXT)
    assert recipe.place("data", "validation", "fraction") == "<text>:3:60"
    assert recipe.place("evaluation", "max_rows") == "<text>:1:1"
