"""Lets the harness work without the host noticing: what it changes in the process is put back.

The harness and its tasks draw from the global generators, set environment variables when imported, log, show progress
bars, and render task files as programs. All of that belongs to the process, so one block is open at a time; blocks are
kept short, and no model computes inside one. Warning filters that libraries add when they are imported stay, as after
any import.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType

SEED, OTHER_SEED = 0, 1234
"""What the harness seeds Python's and the other generators with."""
VARIABLES = (
    "HF_HUB_ENABLE_HF_TRANSFER",
    "HF_XET_HIGH_PERFORMANCE",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_INIT_AT_FORK",
    "OMP_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
)
"""What the harness, its tasks and what they import set. No others: the host's threads may set theirs meanwhile."""
SILENT = logging.CRITICAL + 1
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def as_guest() -> Iterator[list[str]]:
    """Open a block in which the harness may be used; gives the warnings it logs, as they come."""
    with _ONE_AT_A_TIME, ExitStack() as stack:
        for kept in (_environment, _random_states, _library_loggers, _progress_bars, _sandboxed_templates):
            stack.enter_context(kept())
        yield stack.enter_context(_heard())


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _random_states() -> Iterator[None]:
    """The same numbers for each block, and the host's generators as they were."""
    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(SEED)
    np.random.seed(OTHER_SEED)
    # Not torch.manual_seed: it would seed devices as well.
    torch.default_generator.manual_seed(OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def _library_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("datasets", "evaluate", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(SILENT)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            # One that was imported meanwhile has set a level of its own.
            if logger.level == SILENT:
                logger.setLevel(level)


@contextmanager
def _progress_bars() -> Iterator[None]:
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils.tqdm import progress_bar_states
    from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

    interval, tqdm.monitor_interval = tqdm.monitor_interval, 0  # or even a hidden bar would start a thread that stays
    shown, of_the_hub = not are_progress_bars_disabled(), dict(progress_bar_states)
    disable_progress_bars()
    # Not by the hub's own switch, which forgets what the host said about single groups.
    progress_bar_states.clear()
    progress_bar_states["_global"] = False
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()
        progress_bar_states.clear()
        progress_bar_states.update(of_the_hub)
        tqdm.monitor_interval = interval


@contextmanager
def _sandboxed_templates() -> Iterator[None]:
    """Templates of tasks are rendered in jinja's sandbox, so that a recipe's task folder cannot run code by them."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    utils: ModuleType = import_module("lm_eval.utils")
    sandbox = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    own = utils.env
    sandbox.filters.update(own.filters)
    utils.env = sandbox  # type: ignore[attr-defined]
    try:
        yield
    finally:
        utils.env = own  # type: ignore[attr-defined]


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the harness warns of, kept from the host's handlers."""
    heard: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        message = " ".join(record.getMessage().split())
        if message not in heard:
            heard.append(message)
        return False

    logger, handler = logging.getLogger("lm_eval"), logging.Handler(logging.WARNING)
    handler.addFilter(hear)
    propagated = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)
