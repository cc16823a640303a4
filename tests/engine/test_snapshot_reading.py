"""A snapshot is read only if a training wrote it, and gone on from only by a training of the same parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_runs import run

from lorasdk.engine.snapshot import Snapshot
from lorasdk.errors import CheckpointError


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    kept: list[Snapshot] = []
    run(keep=kept.append)
    return kept[0]


@pytest.fixture
def folder(snapshot: Snapshot, tmp_path: Path) -> Path:
    folder = tmp_path / "snapshot"
    folder.mkdir()
    snapshot.write(folder)
    return folder


def refusal(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        run(start=Snapshot.read(folder))
    return caught.value


@pytest.mark.parametrize(
    "change",
    [
        {"step": 99},
        {"step": "3"},
        {"course": None},
        {"course": {"history": [[1, 2]]}},
        {"watch": {"best": "x", "improved": None, "without_improvement": 0}},
        {"max_rows": 0},
        {"more": 1},
    ],
)
def test_facts_that_no_training_writes_are_refused(folder: Path, change: dict[str, object]):
    path = folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    error = refusal(folder)
    assert (error.code, error.problems[0].place) == ("checkpoint.malformed", str(path))


def test_other_parameters_are_listed(folder: Path, snapshot: Snapshot):
    first, second, *_ = sorted(snapshot.adapter)
    tensors = {**snapshot.adapter, first: torch.ones(2, 2), "surplus": torch.ones(1)}
    del tensors[second]
    save_file(tensors, folder / "adapter.safetensors")
    told = {problem.field: (problem.found, problem.allowed) for problem in refusal(folder).problems}
    assert told == {
        first: ("(2, 2)", str(tuple(snapshot.adapter[first].shape))),
        second: ("nothing", str(tuple(snapshot.adapter[second].shape))),
        "surplus": ("(1,)", "nothing"),
    }


def test_moments_that_are_missing_are_not_taken_for_zero(folder: Path):
    (folder / "optimizer.safetensors").unlink()
    assert refusal(folder).code == "checkpoint.other-parameters"


def test_a_link_is_not_followed(folder: Path, tmp_path: Path):
    path = folder / "adapter.safetensors"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert refusal(folder).code == "checkpoint.malformed"
