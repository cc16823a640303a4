"""Versions of the recipe format."""

from __future__ import annotations

import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe import load_recipe
from lorasdk.recipe.versions import _MOVED, migrate
from lorasdk.recipe.writing import write_yaml

FLAT = """version: 0
model_name_or_path: meta-llama/Llama-3.2-3B-Instruct
lora_r: 8
lora_alpha: 16
lora_dropout: 0.05
target_modules: [q_proj, v_proj]
num_train_epochs: 3
per_device_train_batch_size: 4
gradient_accumulation_steps: 2
learning_rate: 2e-4
load_in_4bit: true
train_file: data/train.jsonl
"""


def problem_of(source):
    with pytest.raises(RecipeError) as caught:
        load_recipe(source)
    (problem,) = caught.value.problems
    return problem


def test_R20_a_newer_version_needs_a_newer_lorasdk():
    problem = problem_of("version: 99\nname: x\nsomething: new\n")
    assert "needs lorasdk ≥" in problem.message
    assert "this release reads version 1" in problem.message
    assert problem.place == "<text>:1:10"


def patched(diff: str) -> str:
    return "\n".join(line[1:] for line in diff.splitlines() if line[:1] in {"+", " "} and not line.startswith("+++"))


@pytest.mark.parametrize("text", [FLAT, FLAT.replace("version: 0\n", "")], ids=["version 0", "no version"])
def test_R20_version_0_prints_the_change_to_an_equal_recipe_of_version_1(text):
    problem = problem_of(text)
    diff = problem.fix.partition("\n")[2]
    assert [
        line[1:] for line in diff.splitlines() if line.startswith("-") and line != "--- version 0"
    ] == text.splitlines()
    recipe = load_recipe(patched(diff))
    assert recipe.base_model.source == "meta-llama/Llama-3.2-3B-Instruct"
    assert recipe.base_model.quantization == "nf4"
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (8, 16, 0.05)
    assert recipe.lora.targets == ("q_proj", "v_proj")
    assert (recipe.training.batch_size, recipe.training.micro_batch) == (8, 4)
    assert (recipe.training.epochs, recipe.training.learning_rate) == (3, 0.0002)
    assert recipe.data.train.options == {"path": "data/train.jsonl"}


def test_a_mapping_of_version_0_is_compared_too():
    assert "+  rank: 4" in problem_of({"version": 0, "lora_r": 4}).fix


def test_unknown_keys_of_version_0_stay_to_be_reported():
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_yaml(migrate({"train_file": "a", "frobnicate": 1})))
    assert [problem.field for problem in caught.value.problems] == ["frobnicate"]


def test_a_version_that_is_no_number_is_a_wrong_value():
    problem = problem_of("version: one\nname: x\ndata: {train: a}\n")
    assert (problem.field, problem.allowed) == ("version", "1")


def test_a_negative_version_does_not_exist():
    assert problem_of("version: -1\nname: x\n").fix == "write version: 1"


def test_every_key_of_version_0_moves_to_a_field_that_exists():
    from lorasdk.recipe.homes import recipe_homes

    places = {place for homes in recipe_homes().values() for place in homes.split(" or ")}
    assert set(_MOVED.values()) <= places
