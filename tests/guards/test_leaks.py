"""What trainings leave behind in a host that trains for months: nothing."""

import ctypes
import gc
import itertools
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import psutil
import pytest
from tiny_training import tiny_tuner

from lorasdk import FineTuner, StepFinished, StopToken, TrainingError
from lorasdk.errors import LorasdkError, Problem
from lorasdk.forward.packed import PackedPasses

ROWS = [{"instruction": f"say {i}", "output": "yes" if i % 2 else "no no"} for i in range(4)]
ROUNDS, PER_ROUND = 5, 6
GROWTH = 0.02
"""Of the memory that no other process shares: single readings differ by half a percent."""


@dataclass(frozen=True)
class Belongings:
    """What the process holds when nothing is going on."""

    memory: int
    objects: int
    threads: int
    descriptors: int
    temporary_files: int


def belongings(temporary: Path) -> Belongings:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    process = psutil.Process()
    return Belongings(
        memory=process.memory_full_info().uss,
        objects=len(gc.get_objects()),
        threads=process.num_threads(),
        descriptors=process.num_fds(),
        temporary_files=len(list(temporary.iterdir())),
    )


class Trainings:
    """Trainings of every kind, each with a tuner of its own, as a service makes one for each request."""

    def __init__(self, model_dir: Path, folder: Path) -> None:
        self._model_dir, self._folder, self._numbers = model_dir, folder, itertools.count()

    def one_round(self) -> None:
        """Six trainings."""
        self.in_a_block()
        self.in_a_thread_and_never_closed()
        self.failing()
        self.stopped_and_resumed()

    def tuner(self, folder: Path | None = None) -> FineTuner:
        section = {"training": {"max_steps": 3}, "lora": {"dropout": 0.1}, "data": {"validation": 1}}
        return tiny_tuner(self._model_dir, folder or self._new_folder(), rows={"train": ROWS}, **section)

    def in_a_block(self) -> None:
        with self.tuner() as tuner:
            assert tuner.train().stopped == "finished"
            tuner.infer("hi")

    def in_a_thread_and_never_closed(self) -> None:
        assert self.tuner().start().result(60).stopped == "finished"

    def failing(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PackedPasses, "loss", fail)
            with pytest.raises(LorasdkError):
                self.tuner().train()
            with pytest.raises(LorasdkError):
                self.tuner().start().result(60)

    def stopped_and_resumed(self) -> None:
        folder, stop = self._new_folder(), StopToken()

        def first(event) -> None:
            if isinstance(event, StepFinished):
                stop.stop()

        assert self.tuner(folder).start(on_event=first, stop=stop).result(60).steps == 1
        assert self.tuner(folder).train(resume="must").resumed_from == 1

    def _new_folder(self) -> Path:
        return self._folder / str(next(self._numbers))


def fail(*_args):
    raise TrainingError(Problem("training.broken", "broken on purpose"))


@pytest.fixture
def trainings(tiny_model_dir: Path, tmp_path: Path) -> Trainings:
    return Trainings(tiny_model_dir, tmp_path / "runs")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="asks /proc what belongs to the process")
def test_X82_thirty_trainings_leave_the_process_as_it_was(trainings: Trainings, tmp_path: Path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    trainings.one_round()
    before, readings = belongings(temporary), []
    for _ in range(ROUNDS):
        trainings.one_round()
        readings.append(belongings(temporary))
    after = readings[-1]
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
