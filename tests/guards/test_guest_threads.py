"""The guest's oath while work goes on: trainings beside each other, and beside a host that draws random numbers."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import tiny_tuner

from lorasdk import FineTuner, StepFinished, TrainResult

KINDS = {
    "packs": {"lora": {"dropout": 0.2}, "data": {"validation": 2}},
    "small passes": {"lora": {"dropout": 0.3}, "training": {"micro_batch": 2, "seed": 7}},
    "changed base": {"lora": {"rank": 4, "init": "pissa"}, "training": {"weight_decay": 0.1}},
}


def weights(result: TrainResult) -> str:
    return hashlib.sha256((result.adapter_dir / "adapter_model.safetensors").read_bytes()).hexdigest()


def tuner_of(kind: str, model_dir: Path, folder: Path) -> FineTuner:
    sections = KINDS[kind]
    training = {"max_steps": 20, **sections.get("training", {})}
    return tiny_tuner(model_dir, folder, **{**sections, "training": training})


@pytest.mark.parametrize(("one", "other"), [("packs", "small passes"), ("packs", "changed base")])
def test_X79_two_tuners_that_train_at_once_give_the_bits_of_each_alone(tiny_model_dir, tmp_path, one, other):
    alone = [weights(tuner_of(kind, tiny_model_dir, tmp_path / "alone").train()) for kind in (one, other)]
    tuners = [tuner_of(kind, tiny_model_dir, tmp_path / kind) for kind in (one, other)]
    runs = [tuner.start() for tuner in tuners]
    assert [weights(run.result(60)) for run in runs] == alone


def test_X79_a_tuner_answers_as_alone_while_another_one_trains(tiny_model_dir: Path, tmp_path: Path):
    answering, training = (tuner_of("packs", tiny_model_dir, tmp_path / name) for name in ("answering", "training"))
    expected = weights(answering.train())
    alone = answering.infer(["hi", "you"], temperature=1.0)
    run = training.start()
    answers = []
    while not run.wait(0):
        answers.append(answering.infer(["hi", "you"], temperature=1.0))
    assert len(answers) > 1
    assert all(answer == alone for answer in answers)
    assert weights(run.result()) == expected


def test_X83_a_host_draws_what_it_would_have_drawn_while_a_run_goes_on(tiny_model_dir: Path, tmp_path: Path):
    def draw() -> tuple[float, ...]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)

    seed()
    alone = [draw() for _ in range(20)]
    run, drawn = tuner_of("packs", tiny_model_dir, tmp_path).start(), []
    for event in run.events():
        if isinstance(event, StepFinished):
            if event.step == 1:
                seed()
            drawn.append(draw())
    assert drawn == alone
