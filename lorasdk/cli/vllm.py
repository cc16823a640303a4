"""What `lorasdk export --check vllm` says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from lorasdk.artifacts.vllm_check import VllmCheck, check_vllm
from lorasdk.cli.output import print_json, results_console, show_problems
from lorasdk.errors import AdapterError


def show_vllm_check(adapters: Sequence[Path], *, json: bool) -> None:
    """Look at adapters as vLLM would; print the command that serves them, or what it refuses.

    Raises:
        typer.Exit: with the code of an `AdapterError`, when vLLM would not serve them as they are.
    """
    check = check_vllm(adapters)
    if json:
        print_json(summary(check))
    else:
        show_problems(check.problems)
        show_problems(check.notes, label="[bold]note[/]")
        results_console().print(check.command_line, soft_wrap=True, markup=False)
    if not check.fits:
        raise typer.Exit(AdapterError.exit_code)


def summary(check: VllmCheck) -> dict[str, object]:
    """The same for machines."""
    return {
        "fits": check.fits,
        "adapters": check.adapters,
        "problems": check.problems,
        "notes": check.notes,
        "command": check.command,
    }
