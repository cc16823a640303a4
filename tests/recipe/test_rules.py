"""Rules about several fields."""

from __future__ import annotations

import pydantic
import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe import load_recipe
from lorasdk.recipe.schema import Split, TrainingSection

HEAD = "version: 1\nname: x\ndata: {train: rows.jsonl}\n"


def problems(text: str):
    with pytest.raises(RecipeError) as caught:
        load_recipe(HEAD + text)
    return caught.value.problems


def test_R11_epochs_and_max_steps_names_both_and_what_to_delete():
    (problem,) = problems("training: {epochs: 1, max_steps: 5}\n")
    assert problem.place == "<text>:4:23"
    assert "training.epochs" in problem.message
    assert "training.max_steps" in problem.message
    assert problem.fix.startswith("delete `epochs`")


def test_a_bound_on_what_is_not_measured_names_both_and_what_to_delete():
    (problem,) = problems("evaluation: {forgetting: false, max_forgetting: 0.1}\n")
    assert (problem.code, problem.place) == ("recipe.forgetting-unmeasured", "<text>:4:33")
    assert "`forgetting: false`" in problem.fix
    assert "`max_forgetting`" in problem.fix


@pytest.mark.parametrize("bound", ["0", "-0.1", ".inf", ".nan"])
def test_a_bound_on_forgetting_is_a_positive_number(bound: str):
    (problem,) = problems(f"evaluation: {{max_forgetting: {bound}}}\n")
    assert problem.field == "evaluation.max_forgetting"


@pytest.mark.parametrize(
    "text",
    [
        "base_model: {load_in_4bit: true, load_in_8bit: true}\n",
        "load_in_4bit: true\nload_in_8bit: true\n",
        "lora: {load_in_4bit: true}\nload_in_8bit: true\n",
    ],
)
def test_R11_4_bit_and_8_bit_are_one_problem_that_names_both(text):
    (problem,) = problems(text)
    assert problem.code == "recipe.both-given"
    assert "load_in_4bit and load_in_8bit" in problem.message
    assert "base_model.quantization" in problem.fix


def test_R11_contradictions_are_found_beside_wrong_values():
    codes = {p.field: p.code for p in problems("training: {epochs: 1, max_steps: 5, seed: -1}\n")}
    assert codes == {"training.seed": "recipe.bad-value", "training.max_steps": "recipe.both-given"}


def test_a_micro_batch_is_not_larger_than_the_batch():
    (problem,) = problems("training: {batch_size: 4, micro_batch: 8}\n")
    assert (problem.code, problem.allowed) == ("recipe.micro-batch-too-large", "a whole number from 1 to 4")
    assert load_recipe(HEAD + "training: {batch_size: 4, micro_batch: 4}\n").training.micro_batch == 4


def test_no_rule_speaks_about_a_field_that_is_wrong_by_itself():
    (problem,) = problems("training: {batch_size: many, micro_batch: 99}\n")
    assert problem.field == "training.batch_size"


@pytest.mark.parametrize(
    ("held_out", "code"), [({}, "recipe.split-empty"), ({"fraction": 0.1, "rows": 3}, "recipe.both-given")]
)
def test_a_held_out_part_says_how_much_exactly_once(held_out, code):
    with pytest.raises(pydantic.ValidationError):
        Split(**held_out)
    data = {"train": "a", "validation": {"fraction": None, "rows": None, **held_out}}
    with pytest.raises(RecipeError) as caught:
        load_recipe({"name": "x", "data": data})
    assert caught.value.code == code


@pytest.mark.parametrize("watcher", ["keep: best", "early_stopping: {}"])
def test_watching_a_metric_needs_validation_rows(watcher):
    (problem,) = problems(f"training: {{{watcher}}}\n")
    assert problem.code == "recipe.validation-needed"
    assert problem.place == "<text>:4:12"
    with_rows = HEAD.replace("rows.jsonl", "rows.jsonl, validation: 0.1")
    assert load_recipe(with_rows + f"training: {{{watcher}}}\n").data.validation == Split(fraction=0.1)


def test_wrong_validation_rows_are_not_also_called_missing():
    with pytest.raises(RecipeError) as caught:
        load_recipe(HEAD.replace("rows.jsonl", "rows.jsonl, validation: 2.5") + "training: {keep: best}\n")
    assert [problem.field for problem in caught.value.problems] == ["data.validation"]


def test_rules_hold_for_sections_built_in_code_too():
    with pytest.raises(pydantic.ValidationError, match=r"training\.epochs and training\.max_steps"):
        TrainingSection(epochs=1, max_steps=2)
