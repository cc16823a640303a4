"""What belongs to the program that a plugin is a guest of, as values that can be compared."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path


def host_state() -> dict[str, object]:
    """Everything that a guest must leave alone, by name."""
    return {
        "the environment": dict(os.environ),
        "the working directory": Path.cwd(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "hooks of sys, threading and warnings": (
            sys.excepthook,
            threading.excepthook,
            sys.unraisablehook,
            sys.displayhook,
            warnings.showwarning,
        ),
        "standard streams": (sys.stdin, sys.stdout, sys.stderr),
        "the logging configuration": (
            logging.root.manager.disable,
            logging.raiseExceptions,
            logging.root.level,
            list(logging.root.handlers),
            list(logging.root.filters),
        ),
        "random's state": random.getstate(),
        "numpy's random state": _numpy_state(),
        "torch's random state": _torch_state(),
        "threads": {thread.ident for thread in threading.enumerate()},
    }


def changes(before: dict[str, object]) -> list[str]:
    """Names of what is not as it was. A library that is imported meanwhile may bring random states of its own."""
    after = host_state()
    return [name for name, value in before.items() if value is not None and after[name] != value]


def _numpy_state() -> object:
    if "numpy" not in sys.modules:
        return None
    import numpy as np

    return tuple(np.asarray(part).tobytes() for part in np.random.get_state())


def _torch_state() -> object:
    if "torch" not in sys.modules:
        return None
    import torch

    return tuple(torch.get_rng_state().tolist())
