"""Overrides from a command line or a program."""

from __future__ import annotations

import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe import load_recipe

TEXT = "version: 1\nname: x\ndata: {train: rows.jsonl, validation: 0.1}\ntraining: {epochs: 3}\n"


def problems(*overrides, mapping=None):
    with pytest.raises(RecipeError) as caught:
        load_recipe(TEXT, overrides=mapping or overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("lora.rank=4", lambda r: r.lora.rank == 4),
        ("training.learning_rate=2e-4", lambda r: r.training.learning_rate == 0.0002),
        ("lora.targets=[q_proj, v_proj]", lambda r: r.lora.targets == ("q_proj", "v_proj")),
        ("name=no", lambda r: r.name == "no"),
        ("generation.stop=['a=b']", lambda r: r.generation.stop == ("a=b",)),
        ("base_model.source=package:d/f.gguf", lambda r: r.base_model.source == "package:d/f.gguf"),
        ("data.train.format=text", lambda r: r.data.train.options == {"path": "rows.jsonl"}),
        ("data.validation.fraction=0.2", lambda r: r.data.validation.fraction == 0.2),
        ("training.epochs=null", lambda r: r.training.epochs is None),
        ("training.early_stopping.patience=1", lambda r: r.training.early_stopping.patience == 1),
    ],
)
def test_an_override_sets_one_field(override, value):
    assert value(load_recipe(TEXT, overrides=[override]))


def test_later_overrides_win_and_a_single_one_needs_no_list():
    assert load_recipe(TEXT, overrides=["lora.rank=4", "lora.rank=5"]).lora.rank == 5
    assert load_recipe(TEXT, overrides="lora.rank=4").lora.rank == 4


def test_an_item_of_a_list_is_set_by_its_number():
    overrides = ["evaluation.evaluators=[exact_match, other]", "evaluation.evaluators.1.limit=3"]
    specs = load_recipe(TEXT, overrides=overrides).evaluation.evaluators
    assert [spec.name for spec in specs] == ["exact_match", "other"]
    assert specs[1].options == {"limit": 3}


def test_overrides_do_not_change_the_mapping_they_are_applied_to():
    source = {"name": "x", "data": {"train": "a"}, "lora": {"rank": 8}}
    load_recipe(source, overrides={"lora.rank": 4})
    assert source["lora"] == {"rank": 8}


@pytest.mark.parametrize(
    ("override", "fix"),
    [
        ("lora.rnk=4", "did you mean 'rank'?"),
        ("trainin.seed=4", "did you mean 'training'?"),
        ("training.lr=4", "write learning_rate"),
    ],
)
def test_R22_a_misspelled_override_suggests_the_nearest_field(override, fix):
    (problem,) = problems(override)
    assert problem.fix == fix
    assert problem.place == f"override {override.split('=')[0]}"


@pytest.mark.parametrize("override", ["train.rank=", "lora.rank", "lora.rank= "])
def test_R22_a_missing_value_says_so(override):
    (problem,) = problems(override)
    assert problem.code == "recipe.bad-override"
    assert problem.message.startswith("value missing")


@pytest.mark.parametrize("override", ["=4", "lora.=4", ".rank=4"])
def test_R22_a_missing_field_says_so(override):
    (problem,) = problems(override)
    assert problem.message.startswith("field missing")


def test_R22_a_wrong_value_names_the_override_as_its_place():
    (problem,) = problems(mapping={"lora.rank": 0})
    assert (problem.place, problem.field) == ("override lora.rank", "lora.rank")


def test_R22_a_value_that_is_no_yaml_names_the_override():
    (problem,) = problems("lora.targets=[a")
    assert problem.place.startswith("override lora.targets:1:")


def test_R22_every_bad_override_is_reported():
    assert [p.place for p in problems("lora.rank=", "=1", "data=[")][:2] == ["override lora.rank=", "override ="]
    assert len(problems("lora.rank=", "=1", "data=[")) == 3


def test_R22_a_field_inside_a_plain_value_is_reported_at_the_override():
    (problem,) = problems("lora.rank.x=3")
    assert (problem.place, problem.field) == ("override lora.rank.x", "lora.rank")


def test_a_number_outside_the_list_says_which_items_there_are():
    (problem,) = problems("evaluation.evaluators=[a, b]", "evaluation.evaluators.7.name=x")
    assert (problem.found, problem.allowed) == ("7", "0 to 1")
