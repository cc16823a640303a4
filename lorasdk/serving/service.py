"""What an app keeps between requests: the scheduler once it is open, keys, models and numbers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from lorasdk.asking import Ask, Scheduler, SchedulerLoad
from lorasdk.errors import InferenceError, LorasdkError, Problem
from lorasdk.serving.catalogue import Catalogue
from lorasdk.serving.following import Following
from lorasdk.serving.keys import Keys
from lorasdk.serving.metrics import Metrics
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.patience import Patience
from lorasdk.serving.servable import Servable

THREADS = 4
"""Threads that make tokens of prompts; the scheduler has its own."""
POLL_SECONDS = 0.02
"""How often a server that ends looks whether the last answers are out."""
Result = TypeVar("Result")


class Service:
    """One server's state; its methods are called in the event loop, and `open` in any thread."""

    def __init__(self, tuner: Servable, options: ServingOptions) -> None:
        self.tuner, self.options = tuner, options
        self.api_keys, self.admin_keys = Keys(options.api_keys), Keys(options.admin_keys)
        self.watch_keys = Keys((*options.api_keys, *options.admin_keys)) if options.api_keys else Keys(())
        self.catalogue = Catalogue(tuner, options)
        self.metrics, self.patience = Metrics(self.load), Patience()
        self.closing = False
        self._asked = 0
        self._executor: ThreadPoolExecutor | None = None
        self._scheduler: Scheduler | None = None
        self._opening = threading.Lock()

    def open(self) -> Scheduler:
        """The scheduler; the first call loads the base model.

        Raises:
            LorasdkError: there is none, or the server is closing.
        """
        with self._opening:
            if self.closing:
                raise InferenceError(_closing())
            if self._scheduler is None or not self._scheduler.open:
                bounds = {"max_rows": self.options.max_rows, "max_waiting": self.options.max_waiting}
                self._scheduler = self.tuner.open_scheduler(**bounds)
            return self._scheduler

    @property
    def is_open(self) -> bool:
        """Whether the base model is loaded."""
        return self._scheduler is not None

    def load(self) -> SchedulerLoad | None:
        """What the scheduler is doing, if there is one."""
        return None if self._scheduler is None else self._scheduler.load

    async def start(self) -> None:
        """Open the scheduler now, also after `close`."""
        self.closing = False
        await self.run(self.open)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do what takes a while in a thread.

        Raises:
            InferenceError: the server is closing.
        """
        if self.closing:
            raise InferenceError(_closing())
        return await asyncio.get_running_loop().run_in_executor(self._threads(), work)

    @asynccontextmanager
    async def following(self, asks: Sequence[Ask]) -> AsyncIterator[Following]:
        """Ask, and follow the answers.

        Raises:
            LorasdkError: there is no room, or what the scheduler refuses.
        """
        self._admit(len(asks))
        self._asked += len(asks)
        try:
            async with Following(asks, self.open, self._threads(), self.options) as following:
                yield following
                self.patience.ended(len(asks))
        finally:
            self._asked -= len(asks)

    def retry_after(self, error: LorasdkError) -> float | None:
        """Seconds after which to ask again what was refused with this error, if that is worthwhile."""
        return self.patience.seconds() if error.code in {"inference.queue-full", "serving.waited-too-long"} else None

    async def close(self, *, drain_seconds: float) -> None:
        """Take nothing more in, wait so long for what was begun, end the rest and the scheduler."""
        self.closing = True
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_seconds
        while self._asked and loop.time() < until:
            await asyncio.sleep(POLL_SECONDS)
        await loop.run_in_executor(self._threads(), self._close)
        threads, self._executor = self._threads(), None
        threads.shutdown(wait=False)

    def _close(self) -> None:
        with self._opening:
            scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.close()

    def _admit(self, count: int) -> None:
        """Refuse more than the scheduler would take, before a thread is kept busy with it."""
        if self.closing:
            raise InferenceError(_closing())
        room = self.options.max_rows + self.options.max_waiting
        if count > room:
            message = f"asks for {count} answers at once"
            raise InferenceError(Problem("serving.too-much", message, field="n", allowed=f"at most {room}"))
        if self._asked + count > room:
            raise InferenceError(
                Problem("inference.queue-full", "too many requests are waiting", fix="ask again later")
            )

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="lorasdk-serving")
        return self._executor


def _closing() -> Problem:
    return Problem("serving.closing", "the server is about to end", fix="ask again later, or another server")
