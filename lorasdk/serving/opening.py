"""The door: says how to install what is missing before anything of it is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasdk.errors import InferenceError, Problem
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.servable import Servable

if TYPE_CHECKING:
    from fastapi import FastAPI

NEEDED = ("fastapi", "prometheus_client")


def create_app(tuner: Servable, *, options: ServingOptions | None = None) -> FastAPI:
    """An ASGI app that speaks OpenAI's protocol, to mount in a program's own or to run by itself.

    Nothing is loaded before the first request, unless the app is run by itself: then before the first connection. The
    app does not close the tuner.

    Args:
        tuner: a `FineTuner`, or one of `lorasdk.testing.fake_finetuner`.
        options: keys, names and bounds.

    Raises:
        InferenceError: the extra ``serve`` is not installed.
    """
    require_extra(NEEDED)
    from lorasdk.serving.app import app_of

    return app_of(tuner, options or ServingOptions())


async def close_app(app: FastAPI, *, drain_seconds: float = 10.0) -> None:
    """Take no more requests, finish what was begun for so long, end the rest with an error, and free the scheduler.

    For a program that mounts the app: what is mounted is not told when the program ends.
    """
    from lorasdk.serving.app import service_of

    await service_of(app).close(drain_seconds=drain_seconds)


def require_extra(modules: tuple[str, ...]) -> None:
    """Insist on what only the extra brings.

    Raises:
        InferenceError: it is not installed.
    """
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InferenceError(
            Problem(
                code="serving.not-installed",
                message="the server's libraries are not installed",
                found="missing: " + ", ".join(missing),
                fix='pip install "lorasdk[serve]"',
            )
        )
