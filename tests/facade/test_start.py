"""`FineTuner.start`: a training beside the host's own work, in a thread of this program."""

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny_training import tiny_recipe, tiny_tuner

from lorasdk import AdapterSaved, FineTuner, InferenceError, RunFinished, StepFinished, StopToken, TrainingError
from lorasdk.errors import LorasdkError

ENDLESS = {"training": {"max_steps": 1_000_000}}


def weights(adapter_dir: Path) -> str:
    return hashlib.sha256((adapter_dir / "adapter_model.safetensors").read_bytes()).hexdigest()


def first_step(run) -> None:
    next(event for event in run.events() if isinstance(event, StepFinished))


def test_X80_a_run_in_a_thread_gives_what_train_gives(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    expected = tuner.train()
    heard = []
    run = tuner.start(on_event=heard.append)
    result = run.result(60)
    assert weights(result.adapter_dir) == weights(expected.adapter_dir)
    assert list(run.events()) == heard
    assert [type(event) for event in heard[-2:]] == [AdapterSaved, RunFinished]
    assert (run.status, run.run_dir) == ("finished", result.run_dir)
    assert tuner.infer("hi").text == FineTuner.from_adapter(result.adapter_dir).infer("hi").text


def test_X81_while_a_run_goes_on_the_caller_is_refused_at_once(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path, **ENDLESS)
    run = tuner.start()
    first_step(run)
    for isolation in ("thread", "process"):
        with pytest.raises(TrainingError) as caught:
            tuner.start(isolation=isolation)
        assert caught.value.code == "tuner.busy"
    with pytest.raises(InferenceError):
        tuner.infer("hi")
    stopper = threading.Thread(target=run.stop)
    stopper.start()
    assert run.wait(60)
    stopper.join()
    assert (run.status, run.result().stopped) == ("stopped", "requested")
    assert tuner.infer("hi").text is not None


def test_a_run_goes_on_where_another_one_stopped(tiny_model_dir: Path, tmp_path: Path):
    section = {"training": {"max_steps": 6}}
    expected = tiny_tuner(tiny_model_dir, tmp_path / "undisturbed", **section).train()
    tuner, stop = tiny_tuner(tiny_model_dir, tmp_path, **section), StopToken()

    def third(event) -> None:
        if isinstance(event, StepFinished) and event.step == 3:
            stop.stop()

    assert tuner.start(on_event=third, stop=stop).result(60).steps == 3
    result = tuner.start(resume="auto").result(60)
    assert (result.steps, result.resumed_from) == (6, 3)
    assert weights(result.adapter_dir) == weights(expected.adapter_dir)


def test_a_run_that_is_stopped_without_saving_leaves_no_adapter(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path, **ENDLESS)
    run = tuner.start()
    first_step(run)
    run.stop(save=False)
    with pytest.raises(TrainingError) as caught:
        run.result(60)
    assert (caught.value.code, run.status) == ("run.abandoned", "stopped")
    assert list(tmp_path.rglob("adapter_model.safetensors")) == []


def test_a_failure_is_the_one_of_train(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path, rows={"train": [{"instruction": "a", "output": ""}]})
    with pytest.raises(LorasdkError) as expected:
        tuner.train()
    run = tuner.start()
    with pytest.raises(type(expected.value)) as caught:
        run.result(60)
    assert (caught.value.problems, run.status) == (expected.value.problems, "failed")


def test_an_isolation_that_does_not_exist_is_refused_and_nothing_is_claimed(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    for _ in range(2):
        with pytest.raises(TrainingError) as caught:
            tuner.start(isolation="container")
        assert caught.value.code == "run.unknown-isolation"


LEAVES = """
import json, sys
from lorasdk import FineTuner, StepFinished
tuner = FineTuner.from_recipe(json.loads(sys.argv[1]), data={"train": [{"instruction": "a", "output": "b"}] * 8})
run = tuner.start()
next(event for event in run.events() if isinstance(event, StepFinished))
"""


def test_a_program_that_ends_during_a_run_saves_and_does_not_hang(tiny_model_dir: Path, tmp_path: Path):
    recipe = json.dumps(tiny_recipe(tiny_model_dir, tmp_path / "runs", **ENDLESS))
    program = [sys.executable, "-c", LEAVES, recipe]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=100)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "runs" / "tiny" / "run-0001" / "adapter" / "lorasdk.json").is_file()
