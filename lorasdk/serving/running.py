"""Runs an app on uvicorn until it is told to stop, and lets it finish what it has begun."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_address

import uvicorn
from fastapi import FastAPI

from lorasdk.errors import LorasdkError, Problem, ResourceError
from lorasdk.serving.opening import close_app
from lorasdk.stopping import StopToken

POLL_SECONDS = 0.1
GRACE_SECONDS = 5
"""What connections get beyond the answers' time, to take in what they are told."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """A socket with an address of its own, that clients can connect to once the app runs; port 0: the system chooses.

    Raises:
        ResourceError: the address is in use, not this machine's, or not allowed.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        problem = Problem(
            code="serving.address",
            message=f"cannot listen at {host}, port {port}",
            found=str(error),
            fix="choose another --port or --host, or end what listens there",
        )
        raise ResourceError(problem) from error
    return listener


def run_app(app: FastAPI, listener: socket.socket, *, stop: StopToken, drain_seconds: float) -> None:
    """Serve until `stop` is thrown; then finish what was begun for so long, and cancel the rest.

    The event loop has a thread of its own, so that the caller's handles signals at once.

    Raises:
        LorasdkError: the server could not start.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(_serve(app, listener, stop, drain_seconds))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            failures.append(error)

    _wait_for(threading.Thread(target=work, name="lorasdk-server", daemon=True))
    if failures:
        raise LorasdkError(Problem("serving.fault", "the server ended by itself")) from failures[0]


def _wait_for(thread: threading.Thread) -> None:
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)


async def _serve(app: FastAPI, listener: socket.socket, stop: StopToken, drain_seconds: float) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=round(drain_seconds + GRACE_SECONDS),
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not stop.stopped and not serving.done():
        await asyncio.sleep(POLL_SECONDS)
    server.should_exit = True
    # What is not finished in time is told so, before its connection is closed.
    await close_app(app, drain_seconds=drain_seconds)
    await serving
