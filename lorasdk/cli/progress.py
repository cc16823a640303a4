"""Shows events on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lorasdk.cli.output import errors_console
from lorasdk.events import (
    AdapterAttached,
    AdapterSaved,
    BaseModelLoaded,
    DataPrepared,
    EvaluationFinished,
    Event,
    LossSpike,
    MicroBatchHalved,
    Notice,
    PredictionProgress,
    RunStarted,
    RunStopped,
    StepFinished,
)

LINES = 10
"""Progress lines per run where there is no terminal."""


@contextmanager
def shown_progress() -> Iterator[Watcher]:
    """Give an observer for ``on_event``; its bar disappears at the end of the block."""
    console = errors_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Watcher(console, progress)


class Watcher:
    """Turns events into lines and bars."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console, self.progress = console, progress
        self.task = progress.add_task("", total=None, facts="starting", visible=False)
        self.told = -1

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, StepFinished):
            facts = (
                f"loss {event.loss:.3f} · {event.tokens_per_second:,.0f} tokens/s · {_time(event.seconds_left)} left"
            )
            self._advance("training", event.step, event.total_steps, facts)
        elif isinstance(event, PredictionProgress):
            self._advance(f"answering ({event.label or 'adapter'})", event.done, event.total, "")
        else:
            line = _line(event)
            if line:
                self.console.print(line)

    def _advance(self, what: str, done: int, total: int, facts: str) -> None:
        self.progress.update(
            self.task, description=what, completed=done, total=total, facts=facts, visible=done < total
        )
        tenth = done * LINES // total
        if not self.console.is_terminal and tenth != self.told:
            self.told = tenth
            self.console.print(f"{what} {done}/{total} {facts}".rstrip())


def _line(event: Event) -> str:
    match event:
        case DataPrepared():
            skipped = f", {event.skipped} skipped" if event.skipped else ""
            return (
                f"{event.split}: {event.rows:,} rows{skipped}, {event.tokens:,} tokens, "
                f"{event.supervised_tokens:,} of them trained on; longest row {event.longest}"
            )
        case BaseModelLoaded():
            held = "" if event.quantization == "none" else f", {event.quantization}"
            return (
                f"base model: {event.parameters / 1e6:,.0f} M parameters, {event.dtype}{held} on {event.device} "
                f"({event.seconds:.1f} s)"
            )
        case AdapterAttached():
            share = f"{event.trainable_share:.2%}"
            return f"adapter: {event.trainable_parameters:,} trainable parameters, {share} of all"
        case EvaluationFinished():
            metrics = ", ".join(f"{name} {value:.4g}" for name, value in event.metrics.items())
            return f"validation at step {event.step}: {metrics}{' (best)' if event.best else ''}"
        case RunStarted(resumed_from=step) if step:
            return f"going on after step {step}"
        case RunStopped():
            return f"stopped after step {event.step}: {event.reason}"
        case AdapterSaved():
            return f"saved {escape(str(event.path))}"
        case _:
            note = _note(event)
            return f"[yellow]note[/] {escape(note)}" if note else ""


def _note(event: Event) -> str:
    """What the user would want to know though nobody asked for it."""
    match event:
        case Notice(_, message):
            return message
        case MicroBatchHalved():
            return f"memory ran out ({event.reason}); {event.rows} rows at a time from now on"
        case LossSpike():
            then = "; the step is left out" if event.skipped else ""
            return f"the loss jumped from {event.usual:.3g} to {event.loss:.3g} at step {event.step}{then}"
        case _:
            return ""


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
