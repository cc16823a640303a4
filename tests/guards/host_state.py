"""What belongs to the program that lorasdk is a guest of, as values that can be compared."""

import logging
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path


def host_state() -> dict[str, object]:
    """Everything a guest must leave alone; torch and NumPy count once the host has imported them."""
    loggers = {name: logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)}
    state: dict[str, object] = {
        "environment": dict(os.environ),
        "working directory": Path.cwd(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook, warnings.showwarning),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "logging": (logging.root.manager.disable, logging.raiseExceptions, logging.getLoggerClass()),
        "loggers": {
            name: (logger.level, logger.disabled, logger.propagate, list(logger.handlers), list(logger.filters))
            for name, logger in loggers.items()
        },
        "warning filters": list(warnings.filters),
        "threads": {thread.name for thread in threading.enumerate()},
        "random": random.getstate(),
    }
    return {**state, **(torch_state() if "torch" in sys.modules else {})}


def torch_state() -> dict[str, object]:
    """Random states and global switches of torch and NumPy."""
    import numpy as np
    import torch

    return {
        "numpy's random state": tuple(np.asarray(part).tobytes() for part in np.random.get_state()),
        "torch's random state": tuple(torch.get_rng_state().tolist()),
        "threads of torch": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.get_deterministic_debug_mode(),
        "precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "attention": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
        ),
    }


def change_everything_once() -> None:
    """Give the host's own states values that no library would choose, so that setting them again would be seen."""
    import numpy as np
    import torch

    random.seed(80_001)
    np.random.seed(80_002)
    torch.manual_seed(80_003)
    torch.set_num_threads(3)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True


def changes(before: dict[str, object]) -> list[str]:
    """Names of what is not as it was."""
    after = host_state()
    return [name for name, value in before.items() if after[name] != value]


def changes_but_for_imports(before: dict[str, object]) -> list[str]:
    """The same for a process in which libraries were imported for the first time meanwhile."""
    after = host_state()
    # Libraries add filters and loggers of their own; those of the host keep their order and their settings.
    filters = [each for each in warnings.filters if each in before["warning filters"]]
    loggers = {name: after["loggers"][name] for name in before["loggers"]}
    after.update({"warning filters": filters, "loggers": loggers})
    return [name for name, value in before.items() if after[name] != value]
