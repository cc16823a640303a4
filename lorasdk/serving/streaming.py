"""Sends an answer while it grows, as server-sent events."""

from __future__ import annotations

import asyncio

from starlette.types import Send

from lorasdk.asking import Piece
from lorasdk.errors import InferenceError, LorasdkError
from lorasdk.results import Completion
from lorasdk.serving.body import client_gone
from lorasdk.serving.following import Following, News
from lorasdk.serving.metrics import Measure, outcome_of
from lorasdk.serving.reading import Order
from lorasdk.serving.refusing import CLIENT_GONE, body_of, status_of
from lorasdk.serving.writing import END, Json, Writer, event, usage

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
)


class Events:
    """An open response of server-sent events."""

    def __init__(self, send: Send, stall_seconds: float) -> None:
        self._send, self._stall_seconds = send, stall_seconds

    async def open(self, request_id: str) -> None:
        """Send the headers."""
        headers = [*HEADERS, (b"x-request-id", request_id.encode())]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send some events.

        Raises:
            InferenceError: the client does not read.
        """
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError as error:
            raise InferenceError(client_gone()) from error


class AnswerStream:
    """One order's answers on their way."""

    def __init__(self, order: Order, writer: Writer, measure: Measure, events: Events) -> None:
        self._order, self._writer, self._measure, self._events = order, writer, measure, events
        self._completions: dict[int, Completion] = {}

    async def send(self, following: Following) -> None:
        """Send everything; what goes wrong before the first piece is no stream yet, after it an event.

        Raises:
            LorasdkError: nothing was sent yet, or the client left.
        """
        news = await following.next()
        await self._events.open(self._writer.head.id)
        try:
            await self._send_all(following, news)
            self._measure.outcome = "answered"
        except LorasdkError as error:
            if status_of(error) == CLIENT_GONE:
                raise
            self._measure.outcome = outcome_of(error)
            await self._events.write(event(body_of(error)))
        await self._events.write(END, more=False)

    async def _send_all(self, following: Following, news: News) -> None:
        for index in range(len(self._order.asks)):
            await self._write(self._writer.first(index))
        await self._tell(*news)
        while not following.finished:
            await self._tell(*await following.next())
        if self._order.include_usage:
            whole = [self._completions[index] for index in range(len(self._order.asks))]
            tokens = usage(whole, self._order.answers_per_prompt)
            chunk = self._writer.head.over(self._writer.chunk_kind, [])
            await self._events.write(event({**chunk, "usage": tokens}))

    async def _tell(self, index: int, update: Piece | Completion) -> None:
        self._measure.heard()
        if isinstance(update, Piece):
            if update.text or update.tokens:
                await self._write(self._writer.piece(index, update))
            return
        self._completions[index] = update
        self._measure.answered(update)
        await self._write(self._writer.last(index, update))

    async def _write(self, choice: Json | None) -> None:
        if choice is not None:
            chunk = self._writer.head.over(self._writer.chunk_kind, [choice])
            # Clients that asked for the usage expect the field in every chunk.
            await self._events.write(event({**chunk, "usage": None} if self._order.include_usage else chunk))
