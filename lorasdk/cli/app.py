"""Puts the verbs together and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from lorasdk.background.own_process import keep_freed_memory
from lorasdk.cli.chat import chat
from lorasdk.cli.compare import compare
from lorasdk.cli.demo import demo
from lorasdk.cli.evaluate import evaluate
from lorasdk.cli.export import export
from lorasdk.cli.infer import infer
from lorasdk.cli.output import errors_console, print_error_json, show_problems
from lorasdk.cli.plugins import plugins
from lorasdk.cli.preview import preview
from lorasdk.cli.push import push
from lorasdk.cli.report import report
from lorasdk.cli.schema import schema
from lorasdk.cli.serve import serve
from lorasdk.cli.train import train
from lorasdk.cli.validate import validate
from lorasdk.cli.verify import verify
from lorasdk.errors import MAX_SHOWN, LorasdkError

INTERRUPTED = 130
"""Exit code of a program ended by Ctrl-C, as shells expect it."""

app = typer.Typer(
    name="lorasdk",
    help="Fine-tune language models with LoRA: a recipe goes in, an adapter and its proof come out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for verb in (
    validate,
    preview,
    train,
    evaluate,
    report,
    compare,
    infer,
    chat,
    serve,
    export,
    verify,
    push,
    schema,
    demo,
):
    app.command()(verb)
app.add_typer(plugins)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0, 1 (a run failed), 2 (input), 3 (resources), 4 (damaged state).

    130 after a second Ctrl-C, 143 after SIGTERM.
    """
    if arguments is None:  # started as a program, not called from one
        keep_freed_memory()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given)
    except LorasdkError as error:
        _report(error, as_json="--json" in given)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors_console().print("interrupted")
        sys.exit(INTERRUPTED)


def _report(error: LorasdkError, *, as_json: bool) -> None:
    if as_json:
        print_error_json(error)
    show_problems(error.problems[:MAX_SHOWN])
    if len(error.problems) > MAX_SHOWN:
        errors_console().print(f"… and {len(error.problems) - MAX_SHOWN} more")
