"""`lorasdk evaluate`: base against tuned."""

from __future__ import annotations

from lorasdk.cli.arguments import Adapter, Json, Set
from lorasdk.cli.interrupts import stop_on_interrupt
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.finetuner import FineTuner


def evaluate(adapter: Adapter, set_: Set = None, json: Json = False) -> None:
    """Score the untouched base model and the adapter on the recipe's test rows."""
    with (
        FineTuner.from_adapter(adapter, overrides=set_ or ()) as tuner,
        shown_progress() as watcher,
        stop_on_interrupt() as stop,
    ):
        report = tuner.evaluate(on_event=watcher, stop=stop)
    if json:
        print_json({"rows": report.rows, "seconds": report.seconds, "scores": report.scores})
    else:
        results_console().print(str(report))
