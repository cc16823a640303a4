"""The host notices nothing: what the harness changes in the process is put back."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from lm_eval_fakes import FakePredictor, options, scores
from lorasdk_lm_eval.guest import as_guest

STATE = """
import logging, os, random, signal, sys, warnings
import numpy as np, torch
import datasets.utils
from huggingface_hub.utils.tqdm import progress_bar_states

def state():
    loggers = {name: (logger.level, logger.propagate, list(logger.handlers), list(logger.filters))
               for name in ("root", "lm_eval", "datasets", "evaluate", "huggingface_hub")
               for logger in [logging.getLogger(name if name != "root" else None)]}
    return (dict(os.environ), os.getcwd(), random.getstate(), str(np.random.get_state()),
            torch.get_rng_state().tolist(), loggers,
            datasets.utils.are_progress_bars_disabled(), dict(progress_bar_states),
            signal.getsignal(signal.SIGINT), list(sys.path), sys.excepthook)
"""
WORK = """
from lm_eval_fakes import FakePredictor, options, scores
random.seed(7), np.random.seed(7), torch.manual_seed(7)
before = state()
work = options("toy_colours", "toy_sums", num_fewshot=1), FakePredictor(texts={"=": "5"})
scores(*work)
# Libraries add filters when they are imported, as after any import.
filters = list(warnings.filters)
scores(*work)
assert filters == list(warnings.filters)
after = state()
for ours, theirs in zip(before, after):
    assert ours == theirs, (ours, theirs)
import lm_eval.utils
from jinja2.sandbox import SandboxedEnvironment
assert not isinstance(lm_eval.utils.env, SandboxedEnvironment)
"""


def run_alone(code: str, *flags: str) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("HF_XET_HIGH_PERFORMANCE", None)
    command = [sys.executable, *flags, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_process_is_the_same_after_the_harness_was_imported_and_used():
    """In a process of its own, since what the harness does when imported it does once."""
    assert run_alone(STATE + WORK, "-W", "error") == (0, "", "")


def test_importing_the_plugin_imports_no_heavy_library():
    code = (
        "import sys, lorasdk_lm_eval\n"
        "lorasdk_lm_eval.plugin.evaluators()[0].Options(tasks=['arc_easy'])\n"
        "heavy = {'lm_eval', 'torch', 'datasets', 'numpy', 'transformers', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert run_alone(code) == (0, "", "")


def test_what_is_drawn_in_a_block_is_always_the_same_and_none_of_the_hosts():
    def drawn() -> tuple[float, float, float]:
        with as_guest():
            return random.random(), np.random.random(), torch.rand(1).item()

    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert drawn() == drawn()
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states


def test_an_error_in_a_block_leaves_nothing_behind():
    logger = logging.getLogger("lm_eval")
    before = random.getstate(), dict(os.environ), list(logger.handlers), logger.propagate

    def fail() -> None:
        with as_guest():
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
            random.seed(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (random.getstate(), dict(os.environ), list(logger.handlers), logger.propagate) == before


def test_what_the_harness_logs_does_not_reach_the_host(caplog: pytest.LogCaptureFixture):
    with as_guest() as heard:
        logging.getLogger("lm_eval.api.task").warning("no  good\nidea")
        logging.getLogger("lm_eval.api.task").warning("no good idea")
    assert heard == ["no good idea"]
    assert caplog.records == []


def test_nothing_is_written_or_warned(capfd: pytest.CaptureFixture[str]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores(options("toy_colours", "toy_sums"), FakePredictor(texts={"=": "5"}))
    assert capfd.readouterr() == ("", "")


def test_evaluations_in_several_threads_do_not_meet():
    def one(_number: int) -> list[float]:
        predictor = FakePredictor(likely=["yellow", "violet"], texts={"2 + 3": "5", "4 + 4": "9"})
        return scores(options("toy_colours", "toy_sums", num_fewshot=1), predictor)

    state = random.getstate()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(8)))
    assert found == [[1.0, 1.0, 0.0, 1.0, 0.0]] * 8
    assert random.getstate() == state


def test_the_predictor_computes_while_the_hosts_state_is_its_own():
    state = random.getstate()

    class Watching(FakePredictor):
        def complete(self, prompts):
            assert random.getstate() == state
            assert logging.getLogger("lm_eval").propagate
            return super().complete(prompts)

    scores(options("toy_sums"), Watching(texts={"=": "5"}))
