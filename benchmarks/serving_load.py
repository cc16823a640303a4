"""Many of OpenAI's clients at one server, each answer compared with what the same adapter says alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from openai import AsyncOpenAI, OpenAI

RETRIES = 1000
"""A client that is told to come back does so."""

CLOSING_SECONDS = 0.1
"""What connections that are closed need to be gone before the loop ends."""


@dataclass(frozen=True)
class Question:
    """One request, and what is answered to it when nobody else asks."""

    model: str
    text: str
    max_tokens: int

    @property
    def request(self) -> dict[str, Any]:
        """What the client sends."""
        messages = [{"role": "user", "content": self.text}]
        return {"model": self.model, "messages": messages, "max_tokens": self.max_tokens, "temperature": 0}


@dataclass
class Load:
    """What came of it."""

    latencies: list[float] = field(default_factory=list)
    """Of requests that were taken in at once, in seconds."""
    delayed: list[float] = field(default_factory=list)
    """Of those that were told to come back, with all the time that their clients waited."""
    first_tokens: list[float] = field(default_factory=list)
    """Of streams that were taken in at once."""
    retries: int = 0
    """Times that a client was told to come back, and did."""
    lost: list[str] = field(default_factory=list)
    """What requests failed with in the end."""
    other: list[str] = field(default_factory=list)
    """Answers that are not what the same adapter says alone."""
    foreign: int = 0
    """Those of them that another adapter says to the same question."""
    tokens: int = 0
    seconds: float = 0.0


def serial_answers(base_url: str, questions: Sequence[Question]) -> dict[Question, str]:
    """Each answer, one request after the other."""
    with OpenAI(base_url=base_url, api_key="none") as client:
        return {
            question: client.chat.completions.create(**question.request).choices[0].message.content or ""
            for question in questions
        }


async def put_under_load(base_url: str, alone: dict[Question, str], *, clients: int, seconds: float) -> Load:
    """Let clients ask without a pause; every second one listens to a stream."""
    load, began = Load(), time.perf_counter()
    until = began + seconds
    await asyncio.gather(*(_client(number, base_url, alone, load, until) for number in range(clients)))
    load.seconds = time.perf_counter() - began
    await asyncio.sleep(CLOSING_SECONDS)
    return load


async def _client(number: int, base_url: str, alone: dict[Question, str], load: Load, until: float) -> None:
    questions = list(alone)
    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=RETRIES, timeout=600) as client:
        for turn in count(number):
            if time.perf_counter() >= until:
                return
            question = questions[turn * 7 % len(questions)]
            try:
                answer = await _ask(client, question, load, stream=number % 2 == 0)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request is lost
                load.lost.append(f"{type(error).__name__}: {error}")
                continue
            _judge(question, answer, alone, load)


async def _ask(client: AsyncOpenAI, question: Question, load: Load, *, stream: bool) -> str:
    began = time.perf_counter()
    text, first = "", None
    if stream:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        raw = await client.chat.completions.with_raw_response.create(**question.request, **options)
        async for chunk in raw.parse():
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            first = time.perf_counter() - began if text and first is None else first
            load.tokens += chunk.usage.completion_tokens if chunk.usage else 0
    else:
        raw = await client.chat.completions.with_raw_response.create(**question.request)
        whole = raw.parse()
        text = whole.choices[0].message.content or ""
        load.tokens += whole.usage.completion_tokens
    load.retries += raw.retries_taken
    (load.delayed if raw.retries_taken else load.latencies).append(time.perf_counter() - began)
    if first is not None and not raw.retries_taken:
        load.first_tokens.append(first)
    return text


def _judge(question: Question, answer: str, alone: dict[Question, str], load: Load) -> None:
    if answer == alone[question]:
        return
    load.other.append(f"{question.model}: {answer!r} instead of {alone[question]!r}")
    load.foreign += answer in {said for asked, said in alone.items() if asked.text == question.text}
