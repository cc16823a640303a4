"""The tables of recipe fields are the schema's, all of it, and their examples are valid."""

import importlib.util
from pathlib import Path

import pytest

from lorasdk import load_recipe
from lorasdk.recipe import Recipe
from lorasdk.recipe.schema import DataSource, Split

PROGRAM = Path(__file__).parents[2] / "docs" / "recipe_fields.py"
SPEC = importlib.util.spec_from_file_location("recipe_fields", PROGRAM)
written = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(written)
PARTS = {"DataSource": DataSource, "Split": Split}
SECTIONS = ["base_model", "data", "lora", "training", "evaluation", "generation"]


def model_of(section: str) -> str:
    return Recipe.model_fields[section].annotation.__name__


def test_the_tables_are_current():
    page = written.PAGE.read_text("utf-8")
    assert page == written.with_tables(page), "run: python docs/recipe_fields.py"


def test_every_section_has_a_table():
    shown = {match[2] for match in written.TABLE.finditer(written.PAGE.read_text("utf-8"))}
    assert shown == {"Recipe", *Recipe.model_json_schema()["$defs"]}


def test_every_field_says_what_it_is():
    sections = ["Recipe", *Recipe.model_json_schema()["$defs"]]
    assert [(s, name) for s in sections for name, field in written.fields(s).items() if not field["description"]] == []


def test_units_and_examples_belong_to_fields():
    known = {name for section in ["Recipe", *Recipe.model_json_schema()["$defs"]] for name in written.fields(section)}
    assert sorted({*written.UNITS, *written.EXAMPLES} - known) == []


@pytest.mark.parametrize(("section", "name"), [(s, n) for s in SECTIONS for n in written.fields(model_of(s))])
def test_the_example_of_a_field_is_valid(section: str, name: str, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    recipe = {"name": "shown", "data": {"train": "rows.jsonl", "validation": 0.1}}
    value = written.example(name, written.fields(model_of(section))[name])
    load_recipe(recipe | {section: {**recipe.get(section, {}), name: value}})


@pytest.mark.parametrize(("part", "name"), [(p, n) for p in PARTS for n in written.fields(p)])
def test_the_example_of_a_part_is_valid(part: str, name: str):
    PARTS[part].model_validate({name: written.example(name, written.fields(part)[name])})
