"""Finds the recipes that ship with lorasdk, in a checkout and in an installed wheel."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import lorasdk


def shipped_recipe(name: str) -> Path:
    """Path of a shipped recipe's file.

    A wheel carries ``recipes/`` as ``lorasdk/recipes``; in a checkout the folder stands beside the package.
    """
    installed = Path(str(files(lorasdk))) / "recipes"
    folder = installed if installed.is_dir() else installed.parent.parent / "recipes"
    return folder / f"{name}.yaml"
