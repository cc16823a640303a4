"""Tells plugins and the host's own callback what happens; none of them can stop the work or keep it from the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lorasdk.events import Event
from lorasdk.plugins import Manager

logger = logging.getLogger(__name__)

OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Announcer:
    """What work calls with each event; whoever raises is logged, and the work goes on."""

    manager: Manager
    """Of the observing plugins."""
    on_event: OnEvent | None
    """The host's callback."""
    run_dir: Path | None = None
    """The run that the work belongs to, for plugins that hear several at once."""

    def __call__(self, event: Event) -> None:
        """Announce `event`; after the first come the manager's news: plugins that failed, and replacements."""
        self._tell(event)
        for notice in self.manager.news():
            self._tell(notice)

    def of_run(self, run_dir: Path) -> Announcer:
        """The same for what happens in a run."""
        return replace(self, run_dir=run_dir)

    def _tell(self, event: Event) -> None:
        self.manager.announce(event, self.run_dir)
        if self.on_event is not None:
            try:
                self.on_event(event)
            except Exception:  # an observer must not be able to stop the work it observes
                logger.exception("on_event failed at %s", type(event).__name__)
