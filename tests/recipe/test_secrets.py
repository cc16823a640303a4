"""Secrets come from the environment, only into fields declared secret, and never come out again."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest
from pydantic import SecretStr

from lorasdk.errors import RecipeError
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.allowed import Allowed
from lorasdk.recipe.recipe import SECRETS

HEAD = "version: 1\nname: x\ndata: {train: rows.jsonl}\n"
TOKEN = "hf_canary_12345678"
WITH_TOKEN = HEAD + "base_model: {token: '${env:MY_TOKEN}'}\n"


def problem_of(text: str):
    with pytest.raises(RecipeError) as caught:
        load_recipe(text)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    (problem,) = caught.value.problems
    return problem


def test_a_reference_is_read_from_the_environment_and_written_back_as_itself(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    recipe = load_recipe(WITH_TOKEN)
    assert recipe.base_model.token.get_secret_value() == TOKEN
    assert "${env:MY_TOKEN}" in recipe.to_yaml()
    assert load_recipe(recipe.to_yaml()) == recipe


def test_a_secret_never_comes_out(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    recipe = load_recipe(WITH_TOKEN)
    told = [repr(recipe), str(recipe), recipe.to_yaml(), json.dumps(recipe.dump()), repr(recipe.origin)]
    assert not [text for text in told if TOKEN in text]
    assert recipe.fingerprint == load_recipe(HEAD).fingerprint


def test_a_secret_survives_copies_and_further_overrides(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    recipe = load_recipe(WITH_TOKEN)
    monkeypatch.delenv("MY_TOKEN")
    copies = [copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe)), load_recipe(recipe, overrides=["lora.rank=4"])]
    assert all(one.base_model.token.get_secret_value() == TOKEN for one in copies)
    assert all("${env:MY_TOKEN}" in one.to_yaml() for one in copies)


def test_a_secret_replaced_in_code_is_not_written_as_the_old_reference(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    changed = load_recipe(load_recipe(WITH_TOKEN), overrides={"base_model.token": SecretStr("other")})
    assert changed.base_model.token.get_secret_value() == "other"
    assert "token" not in changed.to_yaml()


def test_R18_an_undefined_variable_is_named_with_its_field(monkeypatch):
    monkeypatch.delenv("MY_TOKEN", raising=False)
    problem = problem_of(WITH_TOKEN)
    assert (problem.code, problem.field) == ("recipe.undefined-variable", "base_model.token")
    assert "MY_TOKEN is not set" in problem.message
    assert problem.place == "<text>:4:21"


def test_R18_an_empty_variable_is_no_secret(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "")
    assert "MY_TOKEN is empty" in problem_of(WITH_TOKEN).message


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (HEAD.replace("rows.jsonl", "'${env:HOME}/rows.jsonl'"), "data.train"),
        (HEAD.replace("rows.jsonl", "{path: 'a/${env:HOME}'}"), "data.train.path"),
        (HEAD.replace("rows.jsonl", "{path: a, format: '${env:HOME}'}"), "data.train.format"),
        (HEAD + "output_dir: ${env:HOME}\n", "output_dir"),
        (HEAD + "generation: {stop: ['${env:HOME}']}\n", "generation.stop.0"),
    ],
)
def test_R19_a_reference_elsewhere_is_refused_with_a_hint(text, field):
    with pytest.raises(RecipeError) as caught:
        load_recipe(text)
    problem = caught.value.problems[0]
    assert (problem.code, problem.field) == ("recipe.environment", field)
    assert problem.place.startswith("<text>:")
    assert problem.fix


@pytest.mark.parametrize(
    "source", [HEAD + f"base_model: {{token: {TOKEN}}}\n", HEAD + f"base_model: {{tokne: {TOKEN}}}\n"]
)
def test_a_literal_secret_is_neither_accepted_nor_quoted(source):
    assert "token" in problem_of(source).fix


def test_a_literal_secret_in_a_broken_file_is_not_quoted():
    problem_of(HEAD + f"base_model: {{token: {TOKEN}: x}}\n")


def test_a_mapping_in_code_may_carry_a_closed_secret_but_no_open_one():
    data = {"name": "x", "data": {"train": "a"}}
    recipe = load_recipe({**data, "base_model": {"token": SecretStr(TOKEN)}})
    assert recipe.base_model.token.get_secret_value() == TOKEN
    assert TOKEN not in recipe.to_yaml()
    with pytest.raises(RecipeError) as caught:
        load_recipe({**data, "base_model": {"token": TOKEN}})
    assert caught.value.code == "recipe.literal-secret"


def test_an_override_does_not_quote_the_secret_it_carries():
    with pytest.raises(RecipeError) as caught:
        load_recipe(HEAD, overrides=[f"base_model.token={TOKEN}"])
    assert TOKEN not in str(caught.value)
    assert caught.value.problems[0].place == "override base_model.token"


def test_the_list_of_secret_fields_is_what_the_schema_declares():
    allowed = Allowed.by(Recipe)
    assert {location for location in allowed.locations() if allowed.secret(location)} == set(SECRETS)
