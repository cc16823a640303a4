"""How base and tuned did, as a table in the terminal; and the exit code of a bound that was broken."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lorasdk.cli.output import errors_console, results_console, show_problems
from lorasdk.eval_report import EvalReport, Forgetting, Score

BROKEN = 1
"""Exit code when the recipe's bound on forgetting is not kept."""
COLOURS = {"better": "green", "worse": "red", "no evidence": "yellow"}


def show_scores(report: EvalReport, *, title: str) -> None:
    """Print scores, intervals and verdicts, what needs no model, and what was forgotten."""
    console = results_console()
    table = Table("", "base", "tuned", "change", "95 % interval", "verdict", title=title)
    for score in report.scores:
        table.add_row(*_cells(score))
    for baseline in report.labels.baselines if report.labels else ():
        table.add_row(f"[dim]{baseline.name}, no model[/]", "", f"[dim]{baseline.accuracy:.1%}[/]", "", "", "")
    console.print(table)
    _remarks(report, console)
    show_problems(report.failures, label="[yellow]evaluator failed[/]")


def leave_if_broken(report: EvalReport | None) -> None:
    """End the command when more was forgotten than the recipe allows.

    Raises:
        typer.Exit: with code 1.
    """
    forgetting = report.forgetting if report is not None else None
    if forgetting is not None and not forgetting.within:
        errors_console().print(f"[bold red]error[/] {_departure(forgetting)}", soft_wrap=True)
        raise typer.Exit(BROKEN)


def _cells(score: Score) -> tuple[str, ...]:
    share = all(0 <= value <= 1 for value in (*score.base_rows, *score.tuned_rows))
    form = "{:.1%}" if share else "{:.3f}"
    signed = "{:+.1%}" if share else "{:+.3f}"
    interval = score.interval
    between = "" if interval is None else f"{signed.format(interval.low)} to {signed.format(interval.high)}"
    verdict = f"[{COLOURS[score.verdict]}]{score.verdict}[/]"
    numbers = (form.format(score.base), form.format(score.tuned), signed.format(score.change))
    return (escape(score.evaluator), *numbers, between, verdict)


def _remarks(report: EvalReport, console: Console) -> None:
    for score in report.scores:
        if score.rows_needed is not None:
            console.print(
                f"{escape(score.evaluator)}: a difference of this size would show with {score.rows_needed} rows"
            )
    for baseline in report.labels.baselines if report.labels else ():
        if baseline.verdict != "better":
            console.print(f"[yellow]the tuned model does not beat {baseline.name}, which needs no language model[/]")
    if report.overlap is not None and report.overlap.rows:
        asked = f"{report.overlap.rows} test rows ({report.overlap.share:.1%}) ask what a training row asks"
        console.print(f"[yellow]{asked}[/]")
    if report.forgetting is not None:
        console.print(_departure(report.forgetting), soft_wrap=True)


def _departure(forgetting: Forgetting) -> str:
    bound = "" if forgetting.bound is None else f", at most {forgetting.bound:g} allowed"
    return (
        f"on {forgetting.prompts} general prompts the tuned model is {forgetting.divergence:.3g} nats per token away "
        f"from the base{bound}; perplexity {forgetting.base_perplexity:.2f} → {forgetting.tuned_perplexity:.2f}"
    )
