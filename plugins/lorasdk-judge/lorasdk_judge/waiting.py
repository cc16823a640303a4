"""Runs a coroutine while the calling thread stays free to hear that the host wants the work to end.

The event loop lives in a thread of its own: the caller may be a thread that has a loop running, as in a notebook.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import wait

POLL_SECONDS = 0.05
"""How long a wish to stop may go unheard."""


def run_watched(work: Callable[[], Awaitable[None]], *, check_stop: Callable[[], None]) -> None:
    """Run `work` to its end; when `check_stop` or Ctrl-C raises, it is cancelled first, and no thread is left.

    Raises:
        BaseException: what `work` or `check_stop` raises.
    """
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal(name="lorasdk-judge") as portal:
        running = portal.start_task_soon(work)
        while not running.done():
            check_stop()
            wait([running], POLL_SECONDS)
        running.result()
