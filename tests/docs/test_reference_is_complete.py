"""What can be imported, heard or hooked stands in the reference, with a text."""

import inspect
import re
from pathlib import Path

import pytest

import lorasdk
import lorasdk.serving
import lorasdk.testing
from lorasdk.plugins.specs import Hooks

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
MODULES = (lorasdk, lorasdk.serving, lorasdk.testing)
PUBLIC = [(module, name) for module in MODULES for name in module.__all__]
HOOKS = [name for name, value in vars(Hooks).items() if inspect.isfunction(value) and not name.startswith("_")]


def named_in_reference() -> set[str]:
    pages = "\n".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    return {line.rsplit(".", 1)[1] for line in re.findall(r"^::: (\S+)$", pages, re.MULTILINE)}


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda each: getattr(each, "__name__", each))
def test_a_public_name_stands_in_the_reference_with_a_text(module, name: str):
    assert name in named_in_reference()
    assert (inspect.getdoc(getattr(module, name)) or "").strip()


def test_every_hook_stands_in_the_reference_with_a_text():
    page = (REFERENCE / "hooks.md").read_text("utf-8")
    members = re.search(r"members: \[(.*)\]", page)[1].split(", ")
    assert sorted(members) == sorted(HOOKS)
    assert [name for name in HOOKS if not inspect.getdoc(vars(Hooks)[name])] == []
