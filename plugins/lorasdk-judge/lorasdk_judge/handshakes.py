"""Closes a connection when the stop of a request breaks off its TLS handshake.

The HTTP client does so after an error but not after a cancellation (httpcore2 2.16): the socket would stay open until
it is garbage, and then warn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from httpcore2 import AsyncNetworkStream

Trace: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""What the client calls with each step of a request: its name, then what it gave."""


def close_broken_handshake() -> Trace:
    """Make the ``trace`` extension of one request."""
    from anyio import CancelScope

    connected: list[AsyncNetworkStream] = []

    async def trace(step: str, given: Mapping[str, Any]) -> None:
        if step == "connection.connect_tcp.complete":
            connected.append(given["return_value"])
        elif step == "connection.start_tls.failed":
            with CancelScope(shield=True):
                for stream in connected:
                    await stream.aclose()

    return trace
