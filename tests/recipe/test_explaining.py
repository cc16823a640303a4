"""Values that are not allowed: one problem each, in plain words."""

from __future__ import annotations

import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe import load_recipe

HEAD = "version: 1\nname: x\ndata: {train: rows.jsonl}\n"


def problems(text: str):
    with pytest.raises(RecipeError) as caught:
        load_recipe(text)
    return caught.value.problems


def problem(text: str):
    (only,) = problems(HEAD + text)
    return only


def test_R4_unknown_key_suggests_the_nearest_one():
    found = problem("training:\n  lerning_rate: 1e-4\n")
    assert found.code == "recipe.unknown-key"
    assert found.place == "<text>:5:3"
    assert found.field == "training.lerning_rate"
    assert found.fix == "did you mean 'learning_rate'?"


def test_R4_a_key_in_the_wrong_section_is_sent_home():
    assert problem("lora: {learning_rate: 1}\n").fix == "it belongs to training.learning_rate"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("lora: {r: 8}", "write rank"),
        ("lora: {lora_alpha: 8}", "write alpha"),
        ("lora: {target_modules: [a]}", "write targets"),
        ("lora: {lora_dropout: 0.1}", "write dropout"),
        ("lora: {use_dora: true}", "write dora"),
        ("base_model: {load_in_4bit: true}", "write quantization: nf4"),
        ("load_in_8bit: true", "a recipe says it as base_model.quantization: int8"),
        ("training: {num_train_epochs: 1}", "write epochs"),
        ("training: {lr: 1}", "write learning_rate"),
        ("training: {warmup_ratio: 1}", "write warmup"),
        ("max_seq_length: 1", "a recipe says it as data.max_tokens"),
        ("lora:\n  <<: {rank: 4}", "a recipe says it as the merged keys, written out (YAML 1.2 has no merge keys)"),
    ],
)
def test_R4_spellings_of_other_tools_are_translated(text, fix):
    assert problem(text).fix == fix


def test_R4_a_misspelled_choice_suggests_the_nearest_one():
    found = problem("training: {schedule: cosinus}\n")
    assert found.allowed == "constant, linear, cosine"
    assert found.fix == "did you mean 'cosine'?"


def test_R5_a_wrong_type_says_what_was_found_and_wanted():
    found = problem('lora: {rank: "eight"}\n')
    assert (found.field, found.found) == ("lora.rank", "str 'eight'")
    assert (found.message, found.allowed) == ("wrong type", "a whole number from 1 to 4096")
    assert found.place == "<text>:4:14"


def test_R6_a_learning_rate_without_a_point_is_a_number():
    assert load_recipe(HEAD + "training: {learning_rate: 2e-4}\n").training.learning_rate == 0.0002


@pytest.mark.parametrize("word", ["no", "off", "NO"])
def test_R7_words_stay_text_where_text_is_declared_and_are_no_truth_value(word):
    assert load_recipe(HEAD.replace("name: x", f"name: {word}")).name == word
    assert problem(f"lora: {{dora: {word}}}\n").allowed == "true or false"


@pytest.mark.parametrize("value", ["0", "-1", "1000000000", "9" * 5000])
def test_R8_rank_out_of_range_names_the_range(value):
    found = problem(f"lora: {{rank: {value}}}\n")
    assert found.allowed == "a whole number from 1 to 4096"
    assert found.message in {"out of range", "wrong type", "must be finite"}


def test_R9_dropout_of_one_is_out_of_range():
    found = problem("lora: {dropout: 1.0}\n")
    assert (found.message, found.allowed) == ("out of range", "a finite number of at least 0 and below 1")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e999"])
def test_R10_what_is_not_finite_is_refused(value):
    assert problem(f"lora: {{alpha: {value}}}\n").message == "must be finite"


@pytest.mark.parametrize(
    ("targets", "field"),
    [("5", "lora.targets"), ("[a, 5]", "lora.targets.1"), ("[]", "lora.targets"), ("{a: 1}", "lora.targets")],
)
def test_a_union_gives_one_problem(targets, field):
    assert problem(f"lora: {{targets: {targets}}}\n").field == field


@pytest.mark.parametrize("validation", ["1.5", "true", "[a]", "{fraction: 2}", "{fraction: 0.1, shuffle: 1}", "-3"])
def test_a_held_out_part_gives_one_problem(validation):
    (found,) = problems(HEAD.replace("rows.jsonl", f"rows.jsonl, validation: {validation}"))
    assert found.field.startswith("data.validation")


def test_a_missing_key_is_named_with_the_place_of_its_section():
    found = problems("version: 1\nevaluation:\n  evaluators: [{normalise: none}]\n")
    assert [(each.code, each.field) for each in found] == [
        ("recipe.missing-key", "name"),
        ("recipe.missing-key", "evaluation.evaluators.0.name"),
    ]
    assert found[1].place == "<text>:3:16"


def test_every_problem_is_reported_at_once_and_in_our_own_words():
    text = """
lora: {r: 4, rank: eight, alpha: .nan, dropout: 1.0, targets: 5, layers: [a], bias: some, rank_pattern: {'': 0}}
training: {epochs: 1, max_steps: 4, micro_batch: 99, lerning_rate: 1, early_stopping: 3, keep: best}
data: {train: 5, validation: {fraction: 0.1, rows: 4}, columns: 1}
evaluation: {evaluators: [1, {max: 2}]}
base_model: {device: gpu, token: literal}
generation:
"""
    found = problems(text)
    fields = [each.field for each in found]
    assert len(fields) == len(set(fields)) >= 20
    assert {"name", "lora.r", "lora.rank", "data.validation.fraction", "training.max_steps", "generation"} <= set(
        fields
    )
    assert all(each.place.startswith("<text>:") and each.message for each in found)
    told = "\n".join(map(str, found))
    for noise in (
        "Input should",
        "constrained",
        "Extra inputs",
        "valid string",
        "function-",
        "<names>",
        "pydantic_core",
    ):
        assert noise not in told


def test_two_problems_of_one_line_are_both_told_by_the_error_itself():
    with pytest.raises(RecipeError, match=r"(?s)lora\.rank.*lora\.dropout"):
        load_recipe(HEAD + "lora: {rank: 0, dropout: 1}\n")
