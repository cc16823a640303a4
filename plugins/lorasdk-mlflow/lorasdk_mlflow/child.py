"""The process that speaks to MLflow: ``python -m lorasdk_mlflow.child``.

Commands come as lines on standard input; when they end without a `Close`, the program that trained is gone. On standard
output it says at its end, in one JSON object, whether something went wrong. Whatever MLflow sets, opens, prints or
waits for stays in here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from lorasdk_mlflow.commands import AnyCommand, Open, read_command
from lorasdk_mlflow.redacting import redacted, secrets_of
from lorasdk_mlflow.tracker import Server, Tracker

YIELDING = 10
"""How much this process steps back where others want to compute."""


def main() -> None:
    """Follow the commands on standard input and end."""
    if os.name == "posix":
        os.nice(YIELDING)
    channel = _report_channel()
    report = _followed(sys.stdin.buffer)
    with suppress(BrokenPipeError):  # who would read it is gone
        os.write(channel, json.dumps(report).encode())


def _report_channel() -> int:
    """Standard output, for ourselves alone: MLflow prints addresses of runs there."""
    channel = os.dup(1)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)
    return channel


def _followed(commands: BinaryIO) -> dict[str, str]:
    """Do what is asked; what ended it (``problem``) and what kept artifacts away (``artifacts``), if anything did."""
    secrets: list[str] = []

    def read() -> Iterator[AnyCommand]:
        for line in commands:
            if not line.endswith(b"\n"):  # the program was killed while it wrote
                return
            command = read_command(line)
            if isinstance(command, Open):
                secrets.extend(secrets_of(command.tracking_uri, os.environ))
            yield command

    try:
        refused = Tracker(_connected).follow(read())
    except Exception as error:  # noqa: BLE001 - whatever it is, the training's program says it once and goes on
        return {"problem": _reason(error, secrets)}
    return {} if refused is None else {"artifacts": _reason(refused, secrets)}


def _reason(error: Exception, secrets: Sequence[str]) -> str:
    return redacted(f"{type(error).__name__}: {error}", secrets)


def _connected(tracking_uri: str) -> Server:
    import mlflow

    from lorasdk_mlflow.server import MlflowServer

    # In this process it is nobody else's, and MLflow 3.1 sends a client's artifacts to the default server.
    mlflow.set_tracking_uri(tracking_uri)
    return MlflowServer(tracking_uri)


if __name__ == "__main__":
    main()
