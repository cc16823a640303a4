"""`lorasdk train`: from a recipe to an adapter."""

from __future__ import annotations

from typing import Annotated

import typer

from lorasdk.cli.arguments import Json, Recipe, Set
from lorasdk.cli.interrupts import stop_on_interrupt
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.cli.scores import leave_if_broken, show_scores
from lorasdk.finetuner import FineTuner
from lorasdk.report.document import NAME
from lorasdk.results import TrainResult

Resume = Annotated[
    str,
    typer.Option(metavar="never|auto|must|PATH", help="Go on with the latest run that did not end, or with this one."),
]
AllowChange = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="What may differ from the run that is resumed; may be repeated."),
]
Evaluate = Annotated[bool, typer.Option(help="Compare base and tuned on the test rows at the end.")]


def train(  # noqa: PLR0917 - options of a command
    recipe: Recipe,
    set_: Set = None,
    resume: Resume = "never",
    allow_change: AllowChange = None,
    evaluate: Evaluate = True,
    json: Json = False,
) -> None:
    """Train the adapter that a recipe describes, and compare it with the untouched base on the test rows.

    Exit code 1 when more was forgotten than `evaluation.max_forgetting` allows.
    """
    with stop_on_interrupt() as stop:
        with FineTuner.from_recipe(recipe, overrides=set_ or ()) as tuner, shown_progress() as watcher:
            changes = allow_change or ()
            result = tuner.train(on_event=watcher, stop=stop, resume=resume, allow_changes=changes, evaluate=evaluate)
            name = tuner.recipe.name
        _show(result, name, json=json)
    leave_if_broken(result.report)


def _show(result: TrainResult, name: str, *, json: bool) -> None:
    if json:
        print_json(summary(result))
        return
    console = results_console()
    loss = f"loss {result.loss:.4f} " if result.history else ""
    console.print(f"{result.steps} steps in {result.seconds:.0f} s, {loss}({result.stopped})")
    if result.report is not None:
        show_scores(result.report, title=f"{name}: {result.report.rows} held-out rows")
        console.print(f"page: {result.run_dir / NAME}.html", soft_wrap=True)
    console.print(f"adapter: {result.adapter_dir}", soft_wrap=True)


def summary(result: TrainResult) -> dict[str, object]:
    """The result for machines, without the loss of every step."""
    return {
        "adapter_dir": result.adapter_dir,
        "stopped": result.stopped,
        "steps": result.steps,
        "resumed_from": result.resumed_from,
        "saved_step": result.saved_step,
        "loss": result.loss if result.history else None,
        "validations": result.validations,
        "trainable_parameters": result.trainable_parameters,
        "total_parameters": result.total_parameters,
        "trainable_share": result.trainable_share,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "report": result.report,
    }
