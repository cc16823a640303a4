"""A run's events for ``for`` and ``async for``."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

from lorasdk.background.chronicle import Chronicle
from lorasdk.events import Event


class RunEvents:
    """Every event of a run, from the first on and in order, also those that were announced before it was asked for.

    Both kinds of iteration wait for the next event and end with the run, however it ends. Each `RunEvents` goes its own
    way, so any number of readers get all events. ``async for`` is for asyncio, whose loop it never blocks, without a
    thread.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle, self._next = chronicle, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self._chronicle.event(self._next)
        if event is None:
            raise StopIteration
        self._next += 1
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        import asyncio

        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(news.set)

        with self._chronicle.waking(wake):
            await asyncio.sleep(0)  # a reader that catches up with a long past lets others work too
            while not self._chronicle.knows(self._next):
                await news.wait()
                news.clear()
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None
