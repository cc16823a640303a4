"""`lorasdk report`: the pages of an evaluation, built again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorasdk.cli.arguments import Adapter, Json
from lorasdk.cli.output import print_json, results_console
from lorasdk.report import rebuild_report

Output = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where the pages go; beside report.json when left out.", show_default=False),
]


def report(adapter: Adapter, output: Output = None, json: Json = False) -> None:
    """Build report.html and report.md again from the report.json that an evaluation wrote."""
    files = rebuild_report(adapter, folder=output)
    if json:
        print_json(files)
    else:
        results_console().print(str(files.html), soft_wrap=True, markup=False)
