"""Reads a file as a recipe would have it read."""

from pathlib import Path

import pytest

from lorasdk.builtin.file_loader import FileLoader, FileOptions
from lorasdk.contracts import LoadContext
from lorasdk.data.bad_rows import BadRows
from lorasdk.errors import DataError

ROW = {"instruction": "a", "output": "b"}


def load(path: Path, *, bad: BadRows | None = None, **options: str):
    bad = bad or BadRows("error")
    context = LoadContext(path.parent, "recipe.yaml:3:5", "train", bad.report)
    rows = list(FileLoader().load(FileOptions(path=path.name, **options), context))
    bad.settle()
    return rows


def refused(path: Path, **options: str):
    with pytest.raises(DataError) as caught:
        load(path, **options)
    return caught.value.problems[0]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
