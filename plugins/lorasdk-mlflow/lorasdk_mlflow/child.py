"""The process that speaks to MLflow: ``python -m lorasdk_mlflow.child``.

Commands come as lines on standard input; when they end without a `Close`, the program that trained is gone. On standard
output it says at its end, in one line of JSON, whether something went wrong. Whatever MLflow sets, opens, prints or
waits for stays in here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
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
    report = json.dumps({"problem": _problem(sys.stdin.buffer)})
    with suppress(BrokenPipeError):  # who would read it is gone
        os.write(channel, report.encode())


def _report_channel() -> int:
    """Standard output, for ourselves alone: MLflow prints addresses of runs there."""
    channel = os.dup(1)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)
    return channel


def _problem(commands: BinaryIO) -> str:
    """What went wrong, without credentials; empty when nothing did."""
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
        Tracker(_connected).follow(read())
    except Exception as error:  # noqa: BLE001 - whatever it is, the training's program says it once and goes on
        return redacted(f"{type(error).__name__}: {error}", secrets)
    return ""


def _connected(tracking_uri: str) -> Server:
    from lorasdk_mlflow.server import MlflowServer

    return MlflowServer(tracking_uri)


if __name__ == "__main__":
    main()
