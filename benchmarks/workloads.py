"""The rows that all contestants train on, the same for everybody, in the order in which they come."""

from __future__ import annotations

import ast
import inspect
import json
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, str]
WORDNET = Path(__file__).parents[1] / "recipes" / "data" / "wordnet-kinds"
HELD_OUT = 48
SHORTEST, LONGEST = 120, 3000
"""Characters of a docstring."""


@dataclass(frozen=True)
class Workload:
    """What is trained on."""

    name: str
    title: str
    batch_size: int
    """Rows per optimizer step."""
    steps: int
    """Of which the first is not timed."""
    max_tokens: int

    @property
    def rows(self) -> list[Row]:
        """Exactly those of all steps."""
        return self.every[: self.batch_size * self.steps]

    @property
    def held_out(self) -> list[Row]:
        """Rows that nobody trains on."""
        return _wordnet("test")[:HELD_OUT] if self.name.startswith("wordnet") else _docstrings()[-HELD_OUT:]

    @property
    def every(self) -> list[Row]:
        """All rows that could be trained on."""
        return _wordnet("train") if self.name.startswith("wordnet") else _docstrings()[:-HELD_OUT]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("wordnet-8", "shared instruction, 8 rows a step", 8, 9, 160),
        Workload("wordnet-32", "shared instruction, 32 rows a step", 32, 5, 160),
        Workload("mixed-32", "mixed lengths, long answers, 32 rows a step", 32, 4, 1024),
    )
}


def _wordnet(split: str) -> list[Row]:
    lines = (WORDNET / f"{split}.jsonl").read_text("utf-8").splitlines()
    return [
        {"prompt": f"{row['instruction']}\n\n{row['input']}", "answer": row["output"]} for row in map(json.loads, lines)
    ]


def _docstrings() -> list[Row]:
    """Docstrings of the standard library's functions and classes: a question, and an answer of any length."""
    library = Path(sysconfig.get_path("stdlib"))
    rows = [row for path in sorted(library.glob("*.py")) for row in _documented(path)]
    random.Random(0).shuffle(rows)
    return rows


def _documented(path: Path) -> Iterator[Row]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        if text and isinstance(node, kinds) and SHORTEST <= len(text) <= LONGEST and text.isascii():
            yield {"prompt": f"Write the docstring of {path.stem}.{node.name}.", "answer": inspect.cleandoc(text)}
