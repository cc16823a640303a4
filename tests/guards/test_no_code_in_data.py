"""Nothing that is read can be run: the means to do so are nowhere in the sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lorasdk import load_recipe
from lorasdk.errors import RecipeError

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "lorasdk").rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy", "code", "codeop", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
ATTRIBUTES = {("torch", "load"), ("torch", "save"), ("np", "load"), ("numpy", "load"), ("pd", "read_pickle")}
IMPORTERS = {"plugins/shelf.py", "background/plugin_reference.py"}
"""May import by name: the built-in plugin, and those of the host in a process of its own."""


def trees() -> list[tuple[str, ast.AST]]:
    return [(str(path.relative_to(ROOT / "lorasdk")), ast.parse(path.read_text("utf-8"))) for path in SOURCES]


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    return {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def test_no_format_that_can_hold_code_is_read_or_written():
    found = [
        f"{name}: {imported(n) & MODULES}" for name, tree in trees() for n in ast.walk(tree) if imported(n) & MODULES
    ]
    assert found == []


def test_nothing_compiles_or_runs_a_text():
    calls = [(name, n.func) for name, tree in trees() for n in ast.walk(tree) if isinstance(n, ast.Call)]
    by_name = [(name, f.id) for name, f in calls if isinstance(f, ast.Name) and f.id in CALLS]
    by_attribute = [
        (name, f.attr)
        for name, f in calls
        if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and (f.value.id, f.attr) in ATTRIBUTES
    ]
    assert by_name + by_attribute == []


def test_only_plugins_are_imported_by_name():
    importers = {name for name, tree in trees() for n in ast.walk(tree) if "importlib" in imported(n) and _by_name(n)}
    assert importers <= IMPORTERS


def _by_name(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and any(alias.name == "import_module" for alias in node.names)


def test_foreign_code_is_trusted_by_an_argument_and_never_by_a_constant():
    trusting = [
        (name, node.lineno)
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        and node.arg == "trust_remote_code"
        and isinstance(node.value, ast.Constant)
        and node.value.value
    ]
    assert trusting == []


@pytest.mark.parametrize("section", ["base_model", "data", "training", "lora", None])
def test_a_recipe_cannot_trust_foreign_code(section: str | None):
    recipe = {"name": "x", "data": {"train": "a.jsonl"}}
    target = recipe if section is None else recipe.setdefault(section, {})
    target["trust_remote_code"] = True
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe)
    assert any(re.search("trust_remote_code", str(problem)) for problem in caught.value.problems)


def test_no_option_of_ours_can_trust_foreign_code():
    """Of loaders too: `datasets` would run a repository's script."""
    fields = [
        (name, node.target.id)
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and "trust" in node.target.id
    ]
    handed_on_by_hosts = {"background/job.py", "tuner/state.py"}
    handed_on_by_hosts |= {f"workbench/{name}.py" for name in ("bench", "reading_back", "verification_run")}
    assert {name for name, _ in fields} <= handed_on_by_hosts
