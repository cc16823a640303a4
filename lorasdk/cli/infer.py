"""`lorasdk infer`: answers for a shell."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lorasdk.cli.arguments import Adapter, Json, Set
from lorasdk.cli.output import print_json
from lorasdk.finetuner import FineTuner


def infer(
    adapter: Adapter,
    prompts: Annotated[
        list[str], typer.Argument(help="Prompts; '-' reads one from standard input.", show_default=False)
    ],
    base: Annotated[bool, typer.Option("--base", help="Answer with the untouched base model.")] = False,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Answer prompts with a saved adapter; one answer after the other on standard output."""
    questions = [sys.stdin.read() if prompt == "-" else prompt for prompt in prompts]
    with FineTuner.from_adapter(adapter, overrides=set_ or ()) as tuner:
        answers = tuner.infer(questions, adapter=not base)
    if json:
        print_json({"completions": answers})
        return
    for answer in answers if isinstance(answers, list) else [answers]:
        sys.stdout.write(answer.text + "\n")
