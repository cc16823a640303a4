"""Reads what a client sends, for so long and so much of it, and notices when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from lorasdk.errors import InferenceError, Problem
from lorasdk.serving.options import ServingOptions


async def read_body(request: Request, options: ServingOptions) -> bytes:
    """A request's JSON.

    Raises:
        InferenceError: it does not say that it is JSON, is too large, comes too slowly, or its client leaves.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # A page in a browser can send other kinds anywhere without asking; this one it cannot.
        raise InferenceError(
            Problem("serving.not-json", "the request is not JSON", fix="send Content-Type: application/json")
        )
    limit = options.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise InferenceError(_too_large(limit))
    try:
        async with asyncio.timeout(options.receive_seconds):
            return await _read(request, limit)
    except TimeoutError as error:
        raise InferenceError(Problem("serving.body-too-slow", "the request did not arrive in time")) from error
    except ClientDisconnect as error:
        raise InferenceError(client_gone()) from error


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise InferenceError(_too_large(limit))
    return bytes(body)


class Connection:
    """One request's ways in and out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._ending = False

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        self._ending = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def respond(self, response: Response) -> None:
        """Send all of a response."""
        await response(self._scope, self._receive, self.send)

    async def while_connected(self, work: Awaitable[None]) -> None:
        """Do the work, unless the client leaves meanwhile: then it is cancelled.

        Raises:
            InferenceError: the client left.
        """
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_disconnect(self._receive))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            # Servers say the same of a client that left and of a response that is complete.
            if not working.done() and not self._ending:
                raise InferenceError(client_gone())
            await working
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def client_gone() -> Problem:
    """Nobody waits for the answer."""
    return Problem("serving.client-gone", "the client left")


def _too_large(limit: int) -> Problem:
    return Problem(
        "serving.body-too-large", f"the request is longer than {limit} bytes", allowed=f"{limit} bytes", fix="send less"
    )
