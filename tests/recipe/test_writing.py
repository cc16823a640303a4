"""The written form: short, and safe from other readings."""

from __future__ import annotations

import pytest

from lorasdk.recipe import load_recipe
from lorasdk.recipe.writing import write_yaml

TEXT = """version: 1
name: kinds
base_model:
  source: org/model
data:
  train: data/train.jsonl
  validation: 0.1
  test:
    path: data/test.jsonl
    format: text
lora:
  rank: 4
  targets: [q_proj, v_proj]
training:
  epochs: 2.0
evaluation:
  evaluators:
    - exact_match
    - name: other
      limit: 3
"""


def test_a_recipe_is_written_as_its_author_would():
    assert load_recipe(TEXT).to_yaml() == TEXT


def test_defaults_are_not_written():
    text = "version: 1\nname: x\ndata:\n  train: a.jsonl\n"
    assert load_recipe(text + "lora: {rank: 8, dropout: 0.0}\n").to_yaml() == text


@pytest.mark.parametrize(
    "word", ["no", "off", "null", "1e5", ".5e3", "2024-01-01", "a: b", "x #y", "- a", "~", "", "é"]
)
def test_what_could_be_read_as_something_else_is_quoted(word):
    assert write_yaml({"a": word}).removeprefix("a: ")[0] in {'"', "'"}
    assert load_recipe({"name": "x", "data": {"train": {"p": word}}}) == load_recipe(
        load_recipe({"name": "x", "data": {"train": {"p": word}}}).to_yaml()
    )


def test_long_texts_are_not_folded():
    text = "word " * 200
    assert len(write_yaml({"a": text}).splitlines()) == 1
