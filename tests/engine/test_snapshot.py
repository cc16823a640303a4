"""A training that goes on from any of its snapshots ends with the bits of one that was never interrupted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import ROWS, run, same

from lorasdk.engine.snapshot import Snapshot
from lorasdk.events import EvaluationFinished, StepFinished
from lorasdk.forward.packed import PackedPasses
from lorasdk.recipe.schema import EarlyStopping
from lorasdk.stopping import StopToken

EVERY = {"checkpoint_every_steps": 1}
RUNS = {
    "plain": {"section": EVERY},
    "micro-batches": {"section": {**EVERY, "micro_batch": 1}},
    "short packs": {"section": {**EVERY, "pack_tokens": 20}},
    "biases": {"section": {**EVERY, "weight_decay": 0.1}, "lora": {"bias": "lora_only"}},
    "validated": {
        "section": {**EVERY, "keep": "best", "eval_every_steps": 2},
        "validation": ROWS[:3],
    },
    "stopping early": {
        "section": {**EVERY, "eval_every_steps": 1, "early_stopping": EarlyStopping(patience=3, min_delta=10.0)},
        "validation": ROWS[:3],
    },
    "constant layers": {"section": EVERY, "lora": {"layers": [2], "dropout": 0.25}},
}


def through_a_folder(snapshot: Snapshot, folder: Path) -> Snapshot:
    folder.mkdir()
    snapshot.write(folder)
    return Snapshot.read(folder)


@pytest.mark.parametrize("name", RUNS)
def test_going_on_from_any_snapshot_gives_the_same_bits(name: str, tmp_path: Path):
    snapshots: list[Snapshot] = []
    whole, weights = run(**RUNS[name], keep=snapshots.append)
    assert len(snapshots) >= 3
    for snapshot in snapshots:
        start = through_a_folder(snapshot, tmp_path / str(snapshot.step))
        resumed, others = run(**RUNS[name], start=start)
        assert same(weights, others)
        assert replace(resumed, peak_memory_bytes=0) == replace(whole, peak_memory_bytes=0)


def test_snapshots_come_every_epoch_and_at_the_end():
    steps: list[int] = []
    run({"max_steps": 7}, keep=lambda snapshot: steps.append(snapshot.step))
    assert steps == [3, 6, 7]


@pytest.mark.parametrize("passes_before", [0, 1, 4, 9])
def test_a_stop_in_a_step_leaves_the_state_before_it(passes_before: int, tmp_path: Path, monkeypatch):
    section = {"micro_batch": 1, "checkpoint_every_steps": 100}
    whole, weights = run(section)
    stop, kept = StopToken(), []
    after = passes_before
    loss = PackedPasses.loss

    def stopping(self, rows):
        nonlocal after
        if torch.is_grad_enabled():
            after -= 1
            if after <= 0:
                stop.stop()
        return loss(self, rows)

    monkeypatch.setattr(PackedPasses, "loss", stopping)
    if passes_before == 0:
        stop.stop()
    stopped, _ = run(section, stop=stop, keep=kept.append)
    monkeypatch.undo()
    assert stopped.stopped == "requested"
    assert stopped.steps == passes_before // 4
    (snapshot,) = kept
    resumed, others = run(section, start=through_a_folder(snapshot, tmp_path / "s"))
    assert same(weights, others)
    assert resumed.history == whole.history


def test_a_stop_in_a_validation_repeats_the_validation(monkeypatch):
    section = {"eval_every_steps": 2, "keep": "best", "micro_batch": 1}
    whole, weights = run(section, validation=ROWS[:3])
    stop, kept, events = StopToken(), [], []
    scores = PackedPasses.scores

    def stopping(self, rows):
        stop.stop()
        return scores(self, rows)

    monkeypatch.setattr(PackedPasses, "scores", stopping)
    run(section, validation=ROWS[:3], stop=stop, keep=kept.append)
    monkeypatch.undo()
    assert [(snapshot.step, snapshot.facts["course"]["validations"]) for snapshot in kept] == [(2, [])]
    resumed, others = run(section, validation=ROWS[:3], start=kept[0], emit=events.append)
    first = next(event for event in events if isinstance(event, EvaluationFinished | StepFinished))
    assert isinstance(first, EvaluationFinished)
    assert same(weights, others)
    assert resumed.validations == whole.validations


def test_a_run_that_is_not_worth_saving_keeps_nothing():
    stop, kept = StopToken(), []
    stop.stop(save=False)
    run(stop=stop, keep=kept.append)
    assert kept == []


def test_a_snapshot_after_the_last_step_has_nothing_left_to_do():
    kept: list[Snapshot] = []
    whole, weights = run(keep=kept.append)
    resumed, others = run(start=kept[-1])
    assert same(weights, others)
    assert resumed.history == whole.history
