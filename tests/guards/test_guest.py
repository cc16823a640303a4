"""The guest's oath: what belongs to the host is the same before and after."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from host_state import change_everything_once, changes, host_state
from tiny_training import tiny_recipe, tiny_tuner

from lorasdk import InferenceError, TrainingError
from lorasdk.errors import Problem
from lorasdk.forward.packed import PackedPasses


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
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    benchmark = torch.backends.cudnn.benchmark
    change_everything_once()
    yield made
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.benchmark = benchmark


def test_X83_work_leaves_the_host_as_it_was_and_prints_nothing(tuner, capfd):
    before = host_state()
    do_everything(tuner)
    assert changes(before) == []
    assert capfd.readouterr() == ("", "")


def test_X83_failures_leave_the_host_as_it_was_and_print_nothing(tuner, capfd, monkeypatch):
    def fail(*_args):
        raise TrainingError(Problem("training.broken", "broken on purpose"))

    monkeypatch.setattr(PackedPasses, "loss", fail)
    before = host_state()
    with pytest.raises(TrainingError):
        tuner.train()
    with pytest.raises(InferenceError):
        tuner.infer("x" * 1000)
    assert changes(before) == []
    assert capfd.readouterr() == ("", "")


def test_X83_a_stream_that_is_left_early_leaves_the_host_as_it_was(tuner):
    tuner.train()
    before = host_state()
    stream = tuner.stream("hi")
    next(stream)
    stream.close()
    assert changes(before) == []


def test_no_temporary_file_stays_behind(tuner, tmp_path: Path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    do_everything(tuner)
    assert list(folder.iterdir()) == []


FIRST_WORK = """
import json, sys, host_state
if sys.argv[3] == "with torch":
    host_state.change_everything_once()
before = host_state.host_state()
from lorasdk import FineTuner
rows = [{"instruction": letter, "output": "b"} for letter in "abcd"]
tuner = FineTuner.from_recipe(json.loads(sys.argv[1]), data={"train": rows})
tuner.train()
tuner.evaluate()
open(sys.argv[2], "w").write(json.dumps(host_state.changes_but_for_imports(before)))
"""


@pytest.mark.parametrize("host", ["plain", "with torch"])
def test_the_first_work_of_a_process_leaves_it_as_it_was_and_prints_nothing(tiny_model_dir, tmp_path, host):
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data={"test": 1}, training={"max_steps": 1})
    found = tmp_path / "changes.json"
    program = [sys.executable, "-c", FIRST_WORK, json.dumps(recipe), str(found), host]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "")
    assert json.loads(found.read_text("utf-8")) == []
