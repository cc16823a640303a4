"""Faults in the middle of a training, through the facade: what was saved is good, and the run goes on from it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_training import ROWS, tiny_recipe, tiny_tuner

from lorasdk import CheckpointError, FineTuner, Notice, ResourceError, StepFinished, StopToken

TRAINING = {"max_steps": 6, "checkpoint_every_steps": 2, "keep_checkpoints": 3}
FILES = ["adapter.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]


def tuner_for(folder: Path, output: Path) -> FineTuner:
    return tiny_tuner(folder, output, training=TRAINING, lora={"dropout": 0.2})


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def stopped(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A run with checkpoints of steps 2, 4 and 5."""
    stop = StopToken()

    def watch(event):
        if isinstance(event, StepFinished) and event.step == 5:
            stop.stop()

    return tuner_for(tiny_model_dir, tmp_path / "runs").train(stop=stop, on_event=watch).run_dir


@pytest.fixture
def undisturbed(tiny_model_dir: Path, tmp_path: Path) -> str:
    return weights(tuner_for(tiny_model_dir, tmp_path / "whole").train().adapter_dir)


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [missing, truncated, flipped])
@pytest.mark.parametrize("name", FILES)
def test_X65_to_X67_a_damaged_checkpoint_gives_way_to_the_one_before(  # noqa: PLR0917 - fixtures
    tiny_model_dir: Path, tmp_path: Path, stopped: Path, undisturbed: str, name: str, damage
):
    damage(stopped / "checkpoints" / "step-00000005" / name)
    events: list[object] = []
    resumed = tuner_for(tiny_model_dir, tmp_path / "runs").train(resume="must", on_event=events.append)
    assert resumed.resumed_from == 4
    assert weights(resumed.adapter_dir) == undisturbed
    (notice,) = [e.message for e in events if isinstance(e, Notice) and e.code == "checkpoint.quarantined"]
    assert name in notice


def test_X69_when_all_are_damaged_nothing_is_deleted_and_each_reason_told(
    tiny_model_dir: Path, tmp_path: Path, stopped: Path
):
    for folder in (stopped / "checkpoints").glob("step-*"):
        flipped(folder / "optimizer.safetensors")
    before = sorted(stopped.rglob("*"))
    with pytest.raises(CheckpointError) as caught:
        tuner_for(tiny_model_dir, tmp_path / "runs").train(resume="auto")
    assert len(caught.value.problems) == 3
    assert sorted(stopped.rglob("*")) == before


DISK_FULL = """
import json, resource, sys
from lorasdk import CheckpointSaved, FineTuner, ResourceError

def fill(event):
    if isinstance(event, CheckpointSaved) and event.step == 2:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, most))

tuner = FineTuner.from_recipe(json.loads(sys.argv[1]), data={"train": json.loads(sys.argv[2])})
try:
    tuner.train(on_event=fill)
except ResourceError as error:
    print(error.code, "bytes" in str(error))
"""


def test_X62_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    tiny_model_dir: Path, tmp_path: Path, undisturbed: str
):
    recipe = tiny_recipe(tiny_model_dir, tmp_path / "runs", training=TRAINING, lora={"dropout": 0.2})
    program = [sys.executable, "-c", DISK_FULL, json.dumps(recipe), json.dumps(ROWS)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout == "checkpoint.disk True\n", done.stdout + done.stderr
    (run_dir,) = (tmp_path / "runs" / "tiny").iterdir()
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["step-00000002"]
    resumed = tuner_for(tiny_model_dir, tmp_path / "runs").train(resume="must")
    assert resumed.resumed_from == 2
    assert weights(resumed.adapter_dir) == undisturbed


@pytest.mark.parametrize("work", ["lorasdk.data.sources.read_examples", "lorasdk.data.prepare.SplitEncoding.run"])
def test_X76_memory_that_runs_out_while_rows_are_made_ready_is_told(tiny_model_dir, tmp_path, monkeypatch, work):
    def fail(*_args, **_more):
        raise MemoryError("Unable to allocate 8 GiB")

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(work, fail)
    fresh = {"train": [{**row, "instruction": f"not seen before: {row['instruction']}"} for row in ROWS]}
    with pytest.raises(ResourceError) as caught:
        tiny_tuner(tiny_model_dir, tmp_path / "runs", rows=fresh).train()
    assert caught.value.code == "memory.exhausted"
    assert "8 GiB" in str(caught.value)
    assert list(temporary.iterdir()) == []


def test_X84_a_worker_process_that_is_killed_is_told_with_its_last_step_and_goes_on(
    tiny_model_dir: Path, tmp_path: Path, undisturbed: str
):
    import signal

    import psutil

    tuner = tuner_for(tiny_model_dir, tmp_path / "runs")
    run = tuner.start(isolation="process")
    for event in run.events():
        if isinstance(event, StepFinished) and event.step == 3:
            for child in psutil.Process().children():
                child.send_signal(signal.SIGKILL)
    with pytest.raises(ResourceError) as caught:
        run.result()
    assert caught.value.code == "run.killed"
    assert "step" in str(caught.value)
    resumed = tuner.train(resume="must")
    assert resumed.resumed_from >= 2
    assert weights(resumed.adapter_dir) == undisturbed
