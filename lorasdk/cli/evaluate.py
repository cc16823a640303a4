"""`lorasdk evaluate`: base against tuned."""

from __future__ import annotations

from json import dumps as json_text
from pathlib import Path
from typing import Annotated

import typer

from lorasdk.cli.arguments import Adapter, Json, Set
from lorasdk.cli.interrupts import stop_on_interrupt
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.cli.scores import leave_if_broken, show_scores
from lorasdk.finetuner import FineTuner

Data = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Score these rows instead of the recipe's test rows.", exists=True)
]


def evaluate(adapter: Adapter, data: Data = None, set_: Set = None, json: Json = False) -> None:
    """Score the untouched base model and the adapter on the recipe's test rows, and write the report's pages.

    Exit code 1 when more was forgotten than `evaluation.max_forgetting` allows.
    """
    other = [] if data is None else [f"data.test={json_text({'path': str(data.absolute())})}"]
    with (
        FineTuner.from_adapter(adapter, overrides=[*other, *(set_ or ())]) as tuner,
        shown_progress() as watcher,
        stop_on_interrupt() as stop,
    ):
        report = tuner.evaluate(on_event=watcher, stop=stop)
        name = tuner.recipe.name
    if json:
        print_json(report)
    else:
        show_scores(report, title=f"{name}: {report.rows} held-out rows")
        results_console().print(f"page: lorasdk report {adapter}", soft_wrap=True)
    leave_if_broken(report)
