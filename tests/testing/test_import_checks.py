"""What a new Python sees of a plugin, and what its package's metadata says."""

import importlib
from pathlib import Path

import pytest
from installed_packages import install, loader

from lorasdk import PluginError
from lorasdk.testing import check_plugin

BOTH = """
import lorasdk
class P:
    @lorasdk.hookimpl
    def data_loaders(self):
        return [rows]
    @lorasdk.hookimpl
    def on_event(self, event):
        pass
@lorasdk.data_loader
def rows():
    return [{"prompt": "a", "completion": "b"}]
plugin = P()
"""


SETS = "import os\nos.environ['A_NEW_VARIABLE'] = str(os.getpid())\n"
PROMISE = "an entry point promises loader.lead, which it does not offer"


def messages(monkeypatch, tmp_path: Path, source: str, *entries: str) -> list[str]:
    install(monkeypatch, tmp_path, "lorasdk-mine", source, *entries)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    plugin = importlib.import_module("lorasdk_mine").plugin
    try:
        check_plugin(plugin)
    except PluginError as error:
        return [problem.message for problem in error.problems]
    return []


def test_entries_that_say_everything_pass(monkeypatch, tmp_path: Path):
    assert messages(monkeypatch, tmp_path, BOTH, "loader.rows", "observer.mine") == []


@pytest.mark.parametrize(
    ("source", "entries", "said"),
    [
        (BOTH, ["loader.rows"], ["no entry point says that it observes"]),
        (BOTH, ["observer.mine"], ["no entry point says that it offers loader.rows"]),
        (
            loader("crm"),
            ["loader.crm", "loader.lead"],
            [PROMISE],
        ),
        (loader("crm"), ["loader.crm", "observer.x"], ["an entry point says that it observes, which it does not"]),
        (loader("crm"), ["loader.crm", "mine"], ["the entry point 'mine' does not say what it offers"]),
    ],
)
def test_entries_are_compared_with_what_is_offered(monkeypatch, tmp_path: Path, source, entries, said):
    assert messages(monkeypatch, tmp_path, source, *entries) == said


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        ("import torch\n", "importing lorasdk_mine imports torch"),
        (
            "import os\nos.environ['A_NEW_VARIABLE'] = str(os.getpid())\n",
            "importing lorasdk_mine changes or prints something",
        ),
        ("print('hello')\n", "importing lorasdk_mine changes or prints something"),
    ],
)
def test_a_plugin_is_imported_in_a_new_python(monkeypatch, tmp_path: Path, begins: str, said: str):
    monkeypatch.delenv("A_NEW_VARIABLE", raising=False)
    source = begins + BOTH
    assert said in messages(monkeypatch, tmp_path, source, "loader.rows", "observer.mine")
    monkeypatch.delenv("A_NEW_VARIABLE", raising=False)
