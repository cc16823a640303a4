"""The guest's oath: what belongs to the host is the same before and after."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import tiny_recipe, tiny_tuner

from lorasdk import InferenceError, TrainingError
from lorasdk.engine import loop
from lorasdk.errors import Problem


def host_state() -> dict[str, object]:
    loggers = {name: logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)}
    return {
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
        "numpy": tuple(np.asarray(part).tobytes() for part in np.random.get_state()),
        "torch": tuple(torch.get_rng_state().tolist()),
        "torch flags": torch_flags(),
    }


def torch_flags() -> dict[str, object]:
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "attention": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
        ),
    }


def do_everything(tuner):
    tuner.preview(1)
    tuner.train()
    tuner.infer(["hi", "you"], temperature=1.0)
    list(tuner.stream("hi"))
    tuner.evaluate()
    tuner.close()


@pytest.fixture
def tuner(tiny_model_dir: Path, tmp_path: Path):
    made = tiny_tuner(tiny_model_dir, tmp_path / "runs", data={"test": 2, "validation": 2}, lora={"dropout": 0.1})
    do_everything(made)  # what the first import of the libraries does is audited in a process of its own
    return made


def assert_unchanged(before: dict[str, object]) -> None:
    after = host_state()
    changed = [name for name, value in before.items() if after[name] != value]
    assert changed == []


def test_X83_work_leaves_the_host_as_it_was_and_prints_nothing(tuner, capfd):
    before = host_state()
    do_everything(tuner)
    assert_unchanged(before)
    assert capfd.readouterr() == ("", "")


def test_X83_failures_leave_the_host_as_it_was_and_print_nothing(tuner, capfd, monkeypatch):
    def fail(*_args):
        raise TrainingError(Problem("training.broken", "broken on purpose"))

    monkeypatch.setattr(loop, "supervised_loss", fail)
    before = host_state()
    with pytest.raises(TrainingError):
        tuner.train()
    with pytest.raises(InferenceError):
        tuner.infer("x" * 1000)
    assert_unchanged(before)
    assert capfd.readouterr() == ("", "")


def test_X83_a_stream_that_is_left_early_leaves_the_host_as_it_was(tuner):
    tuner.train()
    before = host_state()
    stream = tuner.stream("hi")
    next(stream)
    stream.close()
    assert_unchanged(before)


def test_no_temporary_file_stays_behind(tuner, tmp_path: Path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    do_everything(tuner)
    assert list(folder.iterdir()) == []


LEFT_BY_IMPORTS = {"TORCHINDUCTOR_CACHE_DIR"}
"""torch names its compiler's cache folder, the one it would use anyway, when bitsandbytes is imported."""
FIRST_WORK = """
import json, logging, os, signal, sys, threading, warnings
def state():
    return {
        "environment": dict(os.environ),
        "handlers": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "hooks": [repr(hook) for hook in (sys.excepthook, threading.excepthook, warnings.showwarning)],
        "logging": [logging.root.level, repr(logging.root.handlers), logging.root.manager.disable],
        "threads": [thread.name for thread in threading.enumerate()],
        "filters": [repr(each) for each in warnings.filters],
    }
before = state()
from lorasdk import FineTuner
tuner = FineTuner.from_recipe(json.loads(sys.argv[1]), data={"train": [{"instruction": "a", "output": "b"}] * 4})
tuner.train()
tuner.evaluate()
json.dump([before, state()], open(sys.argv[2], "w"))
"""


def test_the_first_work_of_a_process_leaves_it_as_it_was_and_prints_nothing(tiny_model_dir: Path, tmp_path: Path):
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data={"test": 1}, training={"max_steps": 1})
    seen = tmp_path / "seen.json"
    program = [sys.executable, "-c", FIRST_WORK, json.dumps(recipe), str(seen)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    before, after = json.loads(seen.read_text("utf-8"))
    for name in LEFT_BY_IMPORTS - before["environment"].keys():
        after["environment"].pop(name, None)
    # Libraries add filters for warnings of their own; those of the host keep their order.
    after["filters"] = [each for each in after["filters"] if each in before["filters"]]
    assert after == before
