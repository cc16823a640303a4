"""Where output goes: results on standard output, everything else on standard error."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from lorasdk.errors import LorasdkError, Problem


def results_console() -> Console:
    """Standard output."""
    return Console(highlight=False)


def errors_console() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """The one JSON document of a command."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n")


def print_error_json(error: LorasdkError) -> None:
    """The JSON document of a command that failed."""
    problems = [dataclasses.asdict(problem) for problem in error.problems]
    print_json({"error": {"code": error.code, "type": type(error).__name__, "problems": problems}})


def show_problems(problems: Iterable[Problem], *, label: str = "[bold red]error[/]") -> None:
    """Print problems on standard error, each with its code."""
    console = errors_console()
    for problem in problems:
        console.print(f"{label} [dim]{problem.code}[/] {escape(str(problem))}", soft_wrap=True)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever json can write
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
