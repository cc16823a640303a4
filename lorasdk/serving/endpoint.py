"""An address that answers: reads the order, follows its answers, writes them, and stops when nobody listens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from lorasdk.asking import ChosenToken, Piece
from lorasdk.serving.body import Connection, read_body
from lorasdk.serving.chat_writer import ChatWriter
from lorasdk.serving.completion_writer import CompletionWriter
from lorasdk.serving.following import Following
from lorasdk.serving.metrics import Measure
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.reading import Choose, Order, chat_order, completion_order
from lorasdk.serving.service import Service
from lorasdk.serving.streaming import AnswerStream, Events
from lorasdk.serving.writing import Answered, Head, Writer, usage

ReadOrder: TypeAlias = Callable[[bytes, Choose, ServingOptions, int], Order]
WriterOf: TypeAlias = Callable[[str, str, Order], Writer]
"""Makes a writer for a model and its fingerprint."""


class AnswerEndpoint:
    """An ASGI app for one address."""

    def __init__(self, service: Service, read: ReadOrder, writer: WriterOf) -> None:
        self._service, self._read, self._writer = service, read, writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            LorasdkError: it is refused, or its client left.
        """
        request = Request(scope, receive)
        self._service.api_keys.require(request)
        with self._service.metrics.measured() as measure:
            body = await read_body(request, self._service.options)
            order, writer = await self._service.run(partial(self._understood, body))
            connection = Connection(scope, receive, send)
            await connection.while_connected(self._answer(order, writer, measure, connection))

    def _understood(self, body: bytes) -> tuple[Order, Writer]:
        """In a thread: a long request takes a while to read, and an adapter that is being loaded may hold its set."""
        service = self._service
        default = service.tuner.recipe.generation.max_new_tokens
        order = self._read(body, service.catalogue.choice, service.options, default)
        return order, self._writer(order.model, service.catalogue.fingerprint(order.model), order)

    async def _answer(self, order: Order, writer: Writer, measure: Measure, connection: Connection) -> None:
        service = self._service
        async with service.following(order.asks) as following:
            measure.model = order.model
            if order.stream:
                events = Events(connection.send, service.options.stall_seconds)
                await AnswerStream(order, writer, measure, events).send(following)
                return
            answers = await _collected(following, measure, len(order.asks))
        measure.outcome = "answered"
        await connection.respond(_whole(order, writer, answers))


async def _collected(following: Following, measure: Measure, count: int) -> list[Answered]:
    """All answers, in order."""
    tokens: list[list[ChosenToken]] = [[] for _ in range(count)]
    answers: dict[int, Answered] = {}
    while not following.finished:
        index, update = await following.next()
        measure.heard()
        if isinstance(update, Piece):
            tokens[index].extend(update.tokens)
        else:
            measure.answered(update)
            answers[index] = Answered(update, tuple(tokens[index]))
    return [answers[index] for index in range(count)]


def _whole(order: Order, writer: Writer, answers: list[Answered]) -> Response:
    choices = [writer.whole(index, answered) for index, answered in enumerate(answers)]
    tokens = usage([answered.completion for answered in answers], order.answers_per_prompt)
    body = {**writer.head.over(writer.kind, choices), "usage": tokens}
    return JSONResponse(body, headers={"X-Request-Id": writer.head.id})


def chat_endpoint(service: Service) -> AnswerEndpoint:
    """``/v1/chat/completions``."""

    def writer(model: str, fingerprint: str, order: Order) -> Writer:
        return ChatWriter(Head.new("chatcmpl", model, fingerprint), order.asks[0].logprobs is not None)

    return AnswerEndpoint(service, chat_order, writer)


def completion_endpoint(service: Service) -> AnswerEndpoint:
    """``/v1/completions``."""

    def writer(model: str, fingerprint: str, order: Order) -> Writer:
        logprobs = order.asks[0].logprobs is not None
        return CompletionWriter(Head.new("cmpl", model, fingerprint), logprobs, order.prompts)

    return AnswerEndpoint(service, completion_order, writer)
