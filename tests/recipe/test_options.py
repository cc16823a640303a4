"""Options of components, validated with the component's own model."""

from __future__ import annotations

import traceback
from typing import Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, model_validator

from lorasdk.errors import RecipeError
from lorasdk.recipe import load_recipe, validate_options

TRAIN = ("data", "train")
SECRET = "canary-1234"


class Options(BaseModel, extra="forbid"):
    path: str
    limit: int | str = Field(default=1)
    mode: Literal["fast", "slow"] = "fast"
    token: SecretStr | None = None

    @model_validator(mode="after")
    def _limited(self):
        if self.limit == 13:
            raise ValueError("limit and path do not go together")
        return self


def validated(train: str) -> Options:
    recipe = load_recipe(f"version: 1\nname: x\ndata:\n  train: {train}\n")
    return validate_options(Options, recipe.data.train.options, recipe=recipe, location=TRAIN)


def problems(train: str):
    with pytest.raises(RecipeError) as caught:
        validated(train)
    return caught.value.problems


def test_the_options_are_those_of_the_component_only():
    assert validated("{path: a, format: text, limit: 2}") == Options(path="a", limit=2)


def test_an_unknown_option_suggests_the_components_own_and_points_at_its_key():
    (problem,) = problems("{path: a, limt: 2}")
    assert (problem.field, problem.place) == ("data.train.limt", "<text>:4:20")
    assert problem.fix == "did you mean 'limit'?"


def test_an_unknown_option_suggests_the_sections_keys_too():
    (problem,) = problems("{path: a, formt: text}")
    assert problem.fix == "did you mean 'format'?"


def test_a_choice_and_a_union_give_one_problem_each():
    mode, limit = sorted(problems("{path: a, mode: fats, limit: [1]}"), key=lambda p: p.field, reverse=True)
    assert (mode.field, mode.fix) == ("data.train.mode", "did you mean 'fast'?")
    assert (limit.field, limit.allowed) == ("data.train.limit", "a whole number, or a text")


def test_a_missing_option_points_at_the_section():
    (problem,) = problems("{limit: 2}")
    assert (problem.code, problem.field, problem.place) == ("recipe.missing-key", "data.train.path", "<text>:4:10")


def test_the_components_own_rule_keeps_its_words():
    (problem,) = problems("{path: a, limit: 13}")
    assert problem.message == "limit and path do not go together"
    assert problem.place == "<text>:4:10"


def test_R18_a_secret_option_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "canary-1234")
    assert validated("{path: a, token: '${env:MY_TOKEN}'}").token.get_secret_value() == "canary-1234"
    monkeypatch.delenv("MY_TOKEN")
    (problem,) = problems("{path: a, token: '${env:MY_TOKEN}'}")
    assert (problem.code, problem.field) == ("recipe.undefined-variable", "data.train.token")


def test_a_literal_secret_option_is_refused_and_not_quoted():
    with pytest.raises(RecipeError) as caught:
        validated(f"{{path: 5, token: {SECRET}}}")
    assert {problem.field for problem in caught.value.problems} == {"data.train.token", "data.train.path"}
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_R19_a_reference_in_an_open_option_is_refused():
    (problem,) = problems("{path: '${env:HOME}'}")
    assert (problem.code, problem.place) == ("recipe.environment", "<text>:4:17")


def test_a_recipe_built_in_code_has_no_places():
    recipe = load_recipe({"name": "x", "data": {"train": {"limit": 3}}})
    with pytest.raises(RecipeError) as caught:
        validate_options(Options, recipe.data.train.options, recipe=recipe, location=TRAIN)
    assert caught.value.problems[0].place == ""


def test_secret_options_stay_out_of_dumps_and_fingerprints():
    plain = load_recipe("version: 1\nname: x\ndata: {train: {path: a}}\n")
    secret = load_recipe("version: 1\nname: x\ndata: {train: {path: a, token: '${env:MY_TOKEN}'}}\n")
    given = load_recipe({"name": "x", "data": {"train": {"path": "a", "token": SecretStr("canary")}}})
    assert plain.fingerprint == secret.fingerprint == given.fingerprint
    assert secret.dump() == plain.dump() == given.dump()
    assert "${env:MY_TOKEN}" in secret.to_yaml()
    assert "canary" not in given.to_yaml() + repr(given)


@pytest.mark.parametrize("value", [float("nan"), object(), b"x", [float("inf")]])
def test_an_option_that_json_cannot_hold_is_refused(value):
    with pytest.raises(RecipeError) as caught:
        load_recipe({"name": "x", "data": {"train": {"path": "a", "odd": [value]}}})
    assert caught.value.code == "recipe.option-not-data"
    assert caught.value.problems[0].field == "data.train.odd"
