"""Packages that are installed for the time of a test: real metadata in a folder on the path, read by importlib."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from lorasdk.plugins import discovery


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str, *entries: str) -> None:
    """Install a distribution of one module.

    Args:
        monkeypatch: undoes it.
        folder: where; one for all packages of a test.
        name: of the distribution, ``lorasdk-mine``; the module is called like it, with underscores.
        source: the module's.
        entries: names of its entry points, each leading to ``module:plugin``; ``name = value`` for another value.
    """
    module = name.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [entry if "=" in entry else f"{entry} = {module}:plugin" for entry in entries]
    (info / "entry_points.txt").write_text("\n".join(["[lorasdk]", *lines]) + "\n")
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(discovery, "entry_points", lambda group: entries_in(folder, group))
    if str(folder) not in sys.path:
        monkeypatch.syspath_prepend(str(folder))


def entries_in(folder: Path, group: str) -> list[EntryPoint]:
    """Those of the test's packages alone, whatever else is installed where the tests run."""
    found = [entry for each in distributions(path=[str(folder)]) for entry in each.entry_points]
    return [entry for entry in found if entry.group == group]


LOADER = '''
from lorasdk import data_loader

@data_loader(name={name!r})
def plugin():
    """Rows of {name}."""
    return [{{"instruction": "Greet me.", "output": "Hello!"}}]
'''


def loader(name: str) -> str:
    """The source of a module whose ``plugin`` offers one loader."""
    return LOADER.format(name=name)
