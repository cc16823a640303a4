"""Keeps the model libraries silent while we call them, and puts the host's settings back.

What they say that matters is checked by us and raised; what is left are progress bars and advice for people who call
those libraries themselves. The host's own loggers, handlers and warning filters are never touched.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from huggingface_hub.utils.tqdm import progress_bar_states
from transformers.utils import logging as transformers_logging

LIBRARIES = ("accelerate", "bitsandbytes", "datasets", "gguf", "huggingface_hub", "peft", "torch", "transformers")
SILENT = logging.CRITICAL + 1
_MODULES = re.compile(rf"(lorasdk|{'|'.join(LIBRARIES)})(\.|$)")
_WARNING_FILTER = ("ignore", None, Warning, _MODULES, 0)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars, log output and warnings of the model libraries inside the block.

    Blocks may nest and may overlap in several threads: the first to enter silences, the last to leave restores. Only
    warnings attributed to the model libraries' modules (or to ours, which call them) are ignored.
    """
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()


class _Silence:
    """Counts the blocks that are open. What it guards belongs to the process, so there is one of it per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._open == 0:
                for mute in (_mute_warnings, _mute_loggers, _mute_progress_bars):
                    self._undo.callback(mute())
            self._open += 1

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._undo.close()


_SILENCE = _Silence()


def _mute_warnings() -> Callable[[], None]:
    # Not warnings.catch_warnings: it would also take back what other threads of the host set meanwhile.
    warnings.filterwarnings("ignore", module=_MODULES.pattern)

    def undo() -> None:
        with suppress(ValueError):  # the host replaced the filters meanwhile
            warnings.filters.remove(_WARNING_FILTER)  # type: ignore[attr-defined]

    return undo


def _mute_loggers() -> Callable[[], None]:
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    for name in levels:
        logging.getLogger(name).setLevel(SILENT)

    def undo() -> None:
        for name, level in levels.items():
            logger = logging.getLogger(name)
            # A library imported meanwhile has set its own level, which is not ours to undo.
            if logger.level == SILENT:
                logger.setLevel(level)

    return undo


def _mute_progress_bars() -> Callable[[], None]:
    hub_states = dict(progress_bar_states)
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()

    def undo() -> None:
        if shown:
            transformers_logging.enable_progress_bar()
        # transformers' switch also throws the hub's, group by group.
        progress_bar_states.clear()
        progress_bar_states.update(hub_states)

    return undo
