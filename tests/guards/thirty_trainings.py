"""A host that trains again and again, and writes down what it holds: ``python thirty_trainings.py MODEL FOLDER``.

A program of its own, because a process that has run hundreds of other tests has a heap with holes in it, where what
stays of a training cannot be told from what lies there already.
"""

import ctypes
import gc
import itertools
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest
from tiny_training import tiny_tuner

from lorasdk import FineTuner, StepFinished, StopToken, TrainingError
from lorasdk.errors import LorasdkError, Problem
from lorasdk.forward.packed import PackedPasses

ROWS = [{"instruction": f"say {i}", "output": "yes" if i % 2 else "no no"} for i in range(4)]
ROUNDS, PER_ROUND = 5, 6


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


def main(model_dir: Path, folder: Path) -> None:
    """Print what the process holds after the first round and after each further one."""
    temporary = folder / "temporary"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    trainings = Trainings(model_dir, folder / "runs")
    for _ in range(ROUNDS + 1):
        trainings.one_round()
        print(json.dumps(asdict(belongings(temporary))))  # noqa: T201 - what it is for


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
