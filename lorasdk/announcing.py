"""Tells plugins and the host's own callback what happens; none of them can stop the work or keep it from the others."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lorasdk.events import Emit, Event
from lorasdk.plugins import Manager

logger = logging.getLogger(__name__)

OnEvent = Callable[[Event], None]


def emitter(manager: Manager, on_event: OnEvent | None) -> Emit:
    """Announce to plugins and to `on_event`; one that raises is logged and the work goes on.

    With the first event come the manager's news: which plugins failed, and which were replaced.
    """

    def tell(event: Event) -> None:
        manager.announce(event)
        if on_event is not None:
            try:
                on_event(event)
            except Exception:  # an observer must not be able to stop the work it observes
                logger.exception("on_event failed at %s", type(event).__name__)

    def emit(event: Event) -> None:
        tell(event)
        for notice in manager.news():
            tell(notice)

    return emit
