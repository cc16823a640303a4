"""`lorasdk demo`: the main job on a real model, before and after side by side."""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps as json_text
from pathlib import Path

from rich.markup import escape

from lorasdk.cli.arguments import Json, Set
from lorasdk.cli.interrupts import stop_on_interrupt
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.cli.scores import show_scores
from lorasdk.cli.shipped import shipped_recipe
from lorasdk.cli.train import summary
from lorasdk.finetuner import FineTuner
from lorasdk.report.document import NAME
from lorasdk.results import Completion, TrainResult

RECIPE = "wordnet-kinds"
QUESTION = (
    "Which kind of thing does the definition describe? Answer with one word from: animal, artifact, body, feeling, "
    "food, location, person, plant, possession, substance.\n\na boat that carries people across a river"
)
SHOWN = 60
"""Characters of an answer."""


@dataclass(frozen=True)
class _Outcome:
    result: TrainResult
    base: Completion
    tuned: Completion


def demo(set_: Set = None, json: Json = False) -> None:
    """Train a small embedded model on 600 rows, and show whether it got better: minutes on a CPU, no account needed."""
    outcome = _run([f"output_dir={json_text(str(Path('runs').absolute()))}", *(set_ or ())])
    if json:
        answers = {"question": QUESTION, "base": outcome.base.text, "tuned": outcome.tuned.text}
        print_json({"training": summary(outcome.result), "answers": answers})
    else:
        _show(outcome)


def _run(overrides: list[str]) -> _Outcome:
    with FineTuner.from_recipe(shipped_recipe(RECIPE), overrides=overrides) as tuner:
        with shown_progress() as watcher, stop_on_interrupt() as stop:
            result = tuner.train(on_event=watcher, stop=stop)
        base, tuned = tuner.infer(QUESTION, adapter=False), tuner.infer(QUESTION)
    assert isinstance(base, Completion)
    assert isinstance(tuned, Completion)
    return _Outcome(result, base, tuned)


def _show(outcome: _Outcome) -> None:
    result, console = outcome.result, results_console()
    if result.report is not None:
        show_scores(result.report, title=f"{RECIPE}: {result.report.rows} held-out rows")
    console.print(f"question: {QUESTION.rsplit(chr(10), 1)[-1]}", soft_wrap=True)
    console.print(f"untouched base: {escape(outcome.base.text.strip()[:SHOWN])}", soft_wrap=True)
    console.print(f"tuned: {escape(outcome.tuned.text.strip()[:SHOWN])}", soft_wrap=True)
    console.print(
        f"trained {result.trainable_parameters:,} of {result.total_parameters:,} parameters "
        f"({result.trainable_share:.2%}) in {result.steps} steps and {result.seconds:.0f} s; "
        f"peak memory {result.peak_memory_bytes / 1e9:.1f} GB",
        soft_wrap=True,
    )
    console.print(f"page: {result.run_dir / NAME}.html", soft_wrap=True)
    console.print(f"adapter: {result.adapter_dir}", soft_wrap=True)
    console.print(f'next: lorasdk chat "{result.adapter_dir}"', soft_wrap=True)
