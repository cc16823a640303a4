"""`lorasdk chat`: talk to an adapter."""

from __future__ import annotations

import sys

from lorasdk.cli.arguments import Adapter, Set
from lorasdk.cli.output import errors_console
from lorasdk.contracts import Message
from lorasdk.errors import InferenceError
from lorasdk.finetuner import FineTuner


def chat(adapter: Adapter, set_: Set = None) -> None:
    """Talk to a saved adapter; the conversation so far is part of every prompt."""
    console = errors_console()
    with FineTuner.from_adapter(adapter, overrides=set_ or ()) as tuner:
        console.print("/reset forgets the conversation, /quit ends")
        turns: list[Message] = []
        while True:
            try:
                question = console.input("[bold]> [/]").strip()
            except EOFError:
                return
            if question == "/quit":
                return
            if question == "/reset":
                turns = []
            elif question:
                turns = _exchange(tuner, [*turns, Message("user", question)]) or turns


def _exchange(tuner: FineTuner, turns: list[Message]) -> list[Message] | None:
    """Answer, piece by piece; the conversation with the answer, or None when it did not work out."""
    answer = ""
    try:
        for piece in tuner.stream(turns):
            sys.stdout.write(piece)
            sys.stdout.flush()
            answer += piece
    except KeyboardInterrupt:
        pass  # what was said so far stays; the prompt comes back
    except InferenceError as error:
        errors_console().print(str(error), markup=False)
        return None
    sys.stdout.write("\n")
    return [*turns, Message("assistant", answer)] if answer else None
