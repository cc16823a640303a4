"""Joins a scheduler's thread with an event loop: what is asked goes down, what is told comes up, and nobody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Self, TypeAlias

from lorasdk.asking import Ask, Piece, Scheduler, Tell, Ticket, Update
from lorasdk.errors import InferenceError, LorasdkError, Problem
from lorasdk.results import Completion
from lorasdk.serving.options import ServingOptions

News: TypeAlias = tuple[int, Piece | Completion]
"""Which of the answers, and what of it."""
OpenScheduler: TypeAlias = Callable[[], Scheduler]
"""Gives the scheduler; called in a thread, for it may load a model."""


class Following:
    """The answers of one request, as they come; what is not finished at the end of the block is cancelled."""

    def __init__(
        self, asks: Sequence[Ask], scheduler: OpenScheduler, executor: Executor, options: ServingOptions
    ) -> None:
        self._asks, self._scheduler, self._executor, self._options = asks, scheduler, executor, options
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, Update]] = asyncio.Queue()
        self._waiting = set(range(len(asks)))
        self._tickets: list[Ticket] = []
        self._left, self._lock = False, threading.Lock()
        self._first_by = self._all_by = self._loop.time()
        self._begun = False

    async def __aenter__(self) -> Self:
        """Ask.

        Raises:
            LorasdkError: what the scheduler refuses.
        """
        try:
            await self._loop.run_in_executor(self._executor, self._submit)
        except BaseException:
            self._leave()
            raise
        # The first request of all may load the model, which is no waiting for others.
        now = self._loop.time()
        self._first_by, self._all_by = now + self._options.queue_seconds, now + self._options.answer_seconds
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Cancel what is not finished."""
        self._leave()

    @property
    def finished(self) -> bool:
        """Whether all answers are there."""
        return not self._waiting

    async def next(self) -> News:
        """What comes next.

        Raises:
            LorasdkError: an answer failed, or took too long.
        """
        by = self._all_by if self._begun else min(self._first_by, self._all_by)
        try:
            async with asyncio.timeout_at(by):
                index, update = await self._queue.get()
        except TimeoutError as error:
            raise InferenceError(self._late()) from error
        self._begun = True
        if isinstance(update, LorasdkError):
            self._waiting.discard(index)
            raise update
        if isinstance(update, Completion):
            self._waiting.discard(index)
        return index, update

    def _submit(self) -> None:
        """In a thread: making tokens of a long prompt takes a while."""
        scheduler = self._scheduler()
        for index, ask in enumerate(self._asks):
            ticket = scheduler.submit(ask, self._teller(index))
            self._check_length(ticket)
            with self._lock:
                self._tickets.append(ticket)
                if self._left:
                    ticket.cancel()
                    return

    def _check_length(self, ticket: Ticket) -> None:
        limit = self._options.max_prompt_tokens
        if limit is not None and ticket.prompt_tokens > limit:
            ticket.cancel()
            message = f"the prompt has {ticket.prompt_tokens} tokens"
            raise InferenceError(
                Problem(
                    "serving.too-much", message, field="prompt", allowed=f"at most {limit}", fix="shorten the prompt"
                )
            )

    def _teller(self, index: int) -> Tell:
        def tell(update: Update) -> None:
            # The loop is closed when the program ends while answers are still computed: nobody listens.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._queue.put_nowait, (index, update))

        return tell

    def _leave(self) -> None:
        with self._lock:
            self._left = True
            for index, ticket in enumerate(self._tickets):
                if index in self._waiting:
                    ticket.cancel()

    def _late(self) -> Problem:
        if self._begun or self._all_by <= self._first_by:
            return Problem(
                "serving.too-slow",
                f"the answer was not finished after {self._options.answer_seconds:g} s",
                fix="ask for fewer tokens",
            )
        return Problem(
            "serving.waited-too-long",
            f"no answer was begun within {self._options.queue_seconds:g} s, since others come first",
            fix="ask again later",
        )
