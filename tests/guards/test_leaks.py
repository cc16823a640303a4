"""What trainings leave behind in a host that trains for months: nothing."""

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from statistics import mean

import pytest
from thirty_trainings import PER_ROUND, ROUNDS, Belongings, Trainings, fail

from lorasdk import FineTuner, TrainingError
from lorasdk.forward.packed import PackedPasses

GROWTH = 0.02
"""Of the memory that no other process shares: single readings differ by half a percent."""


@pytest.fixture
def trainings(tiny_model_dir: Path, tmp_path: Path) -> Trainings:
    return Trainings(tiny_model_dir, tmp_path / "runs")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="asks /proc what belongs to the process")
def test_X82_thirty_trainings_leave_the_process_as_it_was(tiny_model_dir: Path, tmp_path: Path):
    program = [sys.executable, str(Path(__file__).with_name("thirty_trainings.py")), str(tiny_model_dir), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)
    before, *readings = [Belongings(**json.loads(line)) for line in done.stdout.splitlines()]
    after = readings[-1]
    assert len(readings) == ROUNDS
    # A library may fill a cache of its own now and then; what stays of each training would be many times more.
    assert after.objects - before.objects < ROUNDS * PER_ROUND
    assert (after.threads, after.descriptors) == (before.threads, before.descriptors)
    assert (before.temporary_files, after.temporary_files) == (0, 0)
    assert mean(reading.memory for reading in readings[-3:]) < before.memory * (1 + GROWTH)


def model_of(tuner: FineTuner) -> weakref.ref:
    return weakref.ref(tuner._state._bench.model)


def test_close_lets_go_of_the_model_whoever_keeps_tuner_result_or_run(trainings: Trainings):
    tuner = trainings.tuner()
    run = tuner.start()
    result, model = run.result(60), model_of(tuner)
    assert model() is not None
    tuner.close()
    assert model() is None
    assert (run.status, run.result()) == ("finished", result)


def test_the_end_of_a_block_lets_go_of_the_model(trainings: Trainings):
    with trainings.tuner() as tuner:
        tuner.train()
        model = model_of(tuner)
        assert model() is not None
    assert model() is None


def test_a_tuner_that_is_forgotten_takes_its_model_along(trainings: Trainings):
    tuner = trainings.tuner()
    tuner.train()
    model = model_of(tuner)
    del tuner
    gc.collect()
    assert model() is None


def test_a_run_that_failed_does_not_keep_the_model_although_its_error_is_kept(trainings: Trainings, monkeypatch):
    models, tuner = [], trainings.tuner()

    def note_and_fail(passes, *_args):
        models.append(weakref.ref(passes.model))
        fail()

    monkeypatch.setattr(PackedPasses, "loss", note_and_fail)
    run = tuner.start()
    with pytest.raises(TrainingError) as kept:
        run.result(60)
    gc.collect()
    assert [model() for model in models] == [None]
    assert (kept.value.code, run.status) == ("training.broken", "failed")
