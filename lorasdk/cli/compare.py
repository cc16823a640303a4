"""`lorasdk compare`: several runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorasdk.checkpoints.whole_file import write_whole_text
from lorasdk.cli.arguments import Json
from lorasdk.cli.output import print_json, results_console
from lorasdk.errors import Problem, ResourceError
from lorasdk.report import Comparison, comparison_page, read_comparison

Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN RUN…", help="Folders of runs or adapters, at least two.", show_default=False),
]
Output = Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.", show_default=False)]


def compare(runs: Runs, output: Output, json: Json = False) -> None:
    """Put several runs on one page: scores side by side, what their recipes do not share, losses over each other."""
    comparison = read_comparison(runs)
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_whole_text(output, comparison_page(comparison))
    except OSError as error:
        problem = Problem("report.disk", f"the page cannot be written: {error}", str(output), fix="choose another file")
        raise ResourceError(problem) from error
    if json:
        print_json({"page": output, **_plain(comparison)})
    else:
        results_console().print(str(output), soft_wrap=True, markup=False)


def _plain(comparison: Comparison) -> dict[str, object]:
    runs = [
        {"run": run.label, "same_test_rows": run.same_rows, "scores": run.report.scores if run.report else None}
        for run in comparison.runs
    ]
    return {"comparable": comparison.comparable, "runs": runs, "differences": comparison.differences}
