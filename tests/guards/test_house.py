"""House rules that a reader would otherwise have to remember."""

import ast
import doctest
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import lorasdk
from lorasdk import load_recipe, stopping, testing
from lorasdk.plugins import build_manager, functions, specs
from lorasdk.plugins.specs import Hooks
from lorasdk.recipe import recipe_schema
from lorasdk.testing import fake_predictor, fake_tuner, plugin_check

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "lorasdk").rglob("*.py"))
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
REFERENCE = "".join(path.read_text("utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))


def test_the_public_names_are_sorted_documented_and_described():
    assert lorasdk.__all__ == sorted(lorasdk.__all__)
    documented = set(re.findall(r"^::: lorasdk\.(\w+)$", REFERENCE, re.MULTILINE))
    assert documented == set(lorasdk.__all__)
    assert set(re.findall(r"^::: lorasdk\.testing\.(\w+)$", REFERENCE, re.MULTILINE)) == set(testing.__all__)
    assert [name for name in lorasdk.__all__ if name != "Event" and not getattr(lorasdk, name).__doc__] == []


HOOKS = {"data_loaders": [], "evaluators": [], "model_sources": [], "on_event": ["event", "run_dir"]}
"""Names and arguments that plugins rely on: a hook is never renamed, and loses no argument."""


def test_the_hooks_are_those_that_plugins_rely_on_and_documented():
    hooks = {name: list(inspect.signature(hook).parameters)[1:] for name, hook in hook_specs().items()}
    assert hooks == HOOKS
    (members,) = re.findall(r"members: \[(.*)\]", (ROOT / "docs" / "reference" / "hooks.md").read_text("utf-8"))
    assert members.split(", ") == list(hooks)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hooks_example_is_a_plugin_that_is_accepted(name: str):
    examples = doctest.DocTestParser().get_examples(hook_specs()[name].__doc__)
    names: dict[str, type] = {}
    for example in examples:
        exec(compile(example.source, f"Hooks.{name}", "exec"), names)
    manager = build_manager([names["Plugin"]()], discover=False)
    offered = {**manager.loaders.everything(), **manager.evaluators.everything(), **manager.sources.everything()}
    assert "application" in {offer.origin for offer in offered.values()} or name == "on_event"


def hook_specs() -> dict[str, Any]:
    return {name: hook for name, hook in vars(Hooks).items() if not name.startswith("_")}


EXEMPLARY = [stopping, specs, functions, fake_predictor, fake_tuner, plugin_check]
"""Modules with examples in their docstrings."""


@pytest.mark.parametrize("module", EXEMPLARY, ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


def test_every_module_with_an_example_is_run():
    found = {path.stem for path in SOURCES if ">>> " in path.read_text("utf-8")}
    assert found == {module.__name__.rpartition(".")[2] for module in EXEMPLARY}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path):
    text = path.read_text("utf-8")
    assert text.count("\n") <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 45, node.name
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def test_no_room_is_a_drawer_for_everything():
    assert {path.stem for path in SOURCES} & {"utils", "helpers", "common", "misc", "core", "base"} == set()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_is_valid_and_its_files_are_there(path: Path):
    recipe = load_recipe(path)
    for source in (recipe.data.train, recipe.data.validation, recipe.data.test):
        options = source.options if hasattr(source, "options") else {}
        assert "path" not in options or recipe.path(str(options["path"])).is_file()
    first, *_ = path.read_text("utf-8").splitlines()
    schema = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert schema
    assert (path.parent / schema[1]).is_file()


def test_the_shipped_schema_is_up_to_date():
    manager = build_manager(discover=False)
    schema = recipe_schema(
        loaders={name: offer.component.Options for name, offer in manager.loaders.everything().items()},
        evaluators={name: offer.component.Options for name, offer in manager.evaluators.everything().items()},
    )
    assert json.loads((ROOT / "recipes" / "recipe.schema.json").read_text("utf-8")) == schema


def test_every_recipe_field_has_a_description():
    for section in recipe_schema()["$defs"].values():
        for name, field in section.get("properties", {}).items():
            assert "description" in field, name


def test_data_that_is_shipped_carries_its_licence_note():
    folders = [path for path in (ROOT / "recipes" / "data").iterdir() if path.is_dir()]
    assert [folder.name for folder in folders if not (folder / "NOTICE.md").is_file()] == []


def test_every_error_code_stands_in_one_form():
    codes = {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant)
        for node in [node.value]
    }
    assert len(codes) > 40
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(\.[a-z0-9]+(-[a-z0-9]+)*)", str(code))] == []


def test_changelog_fragments_are_named_after_no_number():
    fragments = [path.name for path in (ROOT / "changelog.d").glob("*.md") if path.name != "_template.md"]
    assert [name for name in fragments if not re.fullmatch(r"\+[a-z-]+\.(added|changed|fixed)\.md", name)] == []


def test_what_is_given_back_with_an_object_is_not_taken_from_a_run_that_saves_at_the_programs_end():
    lines = [line for path in SOURCES for line in path.read_text("utf-8").splitlines() if "weakref.finalize(" in line]
    assert [line for line in lines if ").atexit = False" not in line] == []
    assert lines
