"""Packages that are installed for the time of a test: real metadata in a folder on the path, read by importlib."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


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
    if str(folder) not in sys.path:
        monkeypatch.syspath_prepend(str(folder))


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
