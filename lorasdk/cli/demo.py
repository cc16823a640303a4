"""`lorasdk demo`: the main job on a real model, before and after side by side."""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps as json_text
from pathlib import Path

from rich.table import Table

from lorasdk.cli.arguments import Json, Set
from lorasdk.cli.interrupts import stop_on_interrupt
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.cli.shipped import shipped_recipe
from lorasdk.cli.train import summary
from lorasdk.eval_report import EvalReport
from lorasdk.finetuner import FineTuner
from lorasdk.results import Completion, TrainResult

RECIPE = "wordnet-kinds"
QUESTION = (
    "Which kind of thing does the definition describe? Answer with one word from: animal, artifact, body, feeling, "
    "food, location, person, plant, possession, substance.\n\na boat that carries people across a river"
)


@dataclass(frozen=True)
class _Outcome:
    result: TrainResult
    report: EvalReport
    base: Completion
    tuned: Completion


def demo(set_: Set = None, json: Json = False) -> None:
    """Train a small embedded model on 600 rows, and show whether it got better: minutes on a CPU, no account needed."""
    outcome = _run([f"output_dir={json_text(str(Path('runs').absolute()))}", *(set_ or ())])
    if json:
        scores, base, tuned = outcome.report.scores, outcome.base, outcome.tuned
        answers = {"question": QUESTION, "base": base.text, "tuned": tuned.text}
        print_json({"training": summary(outcome.result), "scores": scores, "answers": answers})
    else:
        _show(outcome)


def _run(overrides: list[str]) -> _Outcome:
    with FineTuner.from_recipe(shipped_recipe(RECIPE), overrides=overrides) as tuner:
        with shown_progress() as watcher, stop_on_interrupt() as stop:
            result = tuner.train(on_event=watcher, stop=stop)
            report = tuner.evaluate(on_event=watcher, stop=stop)
        base, tuned = tuner.infer(QUESTION, adapter=False), tuner.infer(QUESTION)
    assert isinstance(base, Completion)
    assert isinstance(tuned, Completion)
    return _Outcome(result, report, base, tuned)


def _show(outcome: _Outcome) -> None:
    result, report, console = outcome.result, outcome.report, results_console()
    table = Table("", "untouched base", "tuned", title=f"{RECIPE}: {report.rows} held-out rows")
    for score in report.scores:
        table.add_row(f"{score.evaluator} (whole answer right)", f"{score.base:.1%}", f"{score.tuned:.1%}")
    table.add_row("answer to the question below", outcome.base.text.strip()[:60], outcome.tuned.text.strip()[:60])
    console.print(table)
    console.print(f"question: {QUESTION.rsplit(chr(10), 1)[-1]}", soft_wrap=True)
    console.print(
        f"trained {result.trainable_parameters:,} of {result.total_parameters:,} parameters "
        f"({result.trainable_share:.2%}) in {result.steps} steps and {result.seconds:.0f} s; "
        f"peak memory {result.peak_memory_bytes / 1e9:.1f} GB",
        soft_wrap=True,
    )
    console.print(f"adapter: {result.adapter_dir}", soft_wrap=True)
    console.print(f'next: lorasdk chat "{result.adapter_dir}"', soft_wrap=True)
