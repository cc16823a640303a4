"""A run that was stopped, killed or changed: what goes on to the same bits, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_model import write_tiny_model
from tiny_training import ROWS, tiny_tuner

from lorasdk import (
    CheckpointError,
    CheckpointSaved,
    FineTuner,
    Notice,
    ResourceError,
    RunFailed,
    RunStarted,
    RunStopped,
    StepFinished,
    StopToken,
    TrainingError,
    read_events,
)
from lorasdk.artifacts.passport import read_passport
from lorasdk.errors import Problem

TRAINING = {"max_steps": 6, "checkpoint_every_steps": 2, "eval_every_steps": 3, "micro_batch": 2, "keep": "best"}
LORA = {"dropout": 0.2}


def tuner_for(folder: Path, output: Path, *, rows=None, lora=None, training=None, **more) -> FineTuner:
    sections = {"lora": {**LORA, **(lora or {})}, "training": {**TRAINING, **(training or {})}, **more}
    sections.setdefault("data", {"validation": 2})
    return tiny_tuner(folder, output, rows=rows, **sections)


def stopped_after(step: int) -> tuple[StopToken, object]:
    stop = StopToken()

    def watch(event):
        if isinstance(event, StepFinished) and event.step == step:
            stop.stop()

    return stop, watch


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


def begun(folder: Path, output: Path, *, step: int = 3, **sections) -> Path:
    """A run that was stopped."""
    stop, watch = stopped_after(step)
    return tuner_for(folder, output, **sections).train(stop=stop, on_event=watch).run_dir


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_stopped_run_goes_on_to_the_same_bits(tiny_model_dir: Path, tmp_path: Path, step: int):
    whole = tuner_for(tiny_model_dir, tmp_path / "whole").train()
    run_dir = begun(tiny_model_dir, tmp_path / "runs", step=step)
    events: list[object] = []
    resumed = tuner_for(tiny_model_dir, tmp_path / "runs").train(resume="auto", on_event=events.append)
    assert resumed.run_dir == run_dir
    assert (resumed.resumed_from, events[0].resumed_from) == (step, step)
    assert resumed.history == whole.history
    assert resumed.validations == whole.validations
    assert weights(resumed.adapter_dir) == weights(whole.adapter_dir)
    passport = read_passport(resumed.adapter_dir).training
    assert (passport.resumed_at, passport.changes, passport.bit_exact) == ((step,), (), True)
    assert load_file(run_dir / f"adapter-stopped-at-{step}" / "adapter_model.safetensors")


def test_auto_begins_a_new_run_where_none_was_left(tiny_model_dir: Path, tmp_path: Path):
    first = tuner_for(tiny_model_dir, tmp_path).train(resume="auto")
    second = tuner_for(tiny_model_dir, tmp_path).train(resume="auto")
    assert (first.run_dir.name, second.run_dir.name) == ("run-0001", "run-0002")
    assert weights(first.adapter_dir) == weights(second.adapter_dir)


def test_never_begins_a_new_run_beside_one_that_was_stopped(tiny_model_dir: Path, tmp_path: Path):
    run_dir = begun(tiny_model_dir, tmp_path)
    result = tuner_for(tiny_model_dir, tmp_path).train()
    assert result.run_dir != run_dir
    assert result.resumed_from == 0


def test_must_needs_a_run_to_resume(tiny_model_dir: Path, tmp_path: Path):
    for expected in ("no run", "run-0001, which is finished"):
        with pytest.raises(CheckpointError) as caught:
            tuner_for(tiny_model_dir, tmp_path).train(resume="must")
        assert caught.value.code == "checkpoint.nothing-to-resume"
        assert caught.value.problems[0].found == expected
        tuner_for(tiny_model_dir, tmp_path).train()


@pytest.mark.parametrize("inside", ["", "adapter", "checkpoints/step-00000003"])
def test_a_path_names_the_run(tiny_model_dir: Path, tmp_path: Path, inside: str):
    run_dir = begun(tiny_model_dir, tmp_path)
    begun(tiny_model_dir, tmp_path)
    result = tuner_for(tiny_model_dir, tmp_path).train(resume=str(run_dir / inside))
    assert (result.run_dir, result.steps) == (run_dir, 6)


def test_a_path_that_is_in_no_run_is_refused(tiny_model_dir: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as caught:
        tuner_for(tiny_model_dir, tmp_path).train(resume=tmp_path / "nowhere")
    assert caught.value.code == "checkpoint.no-run"


CHANGES = {
    "training.batch_size": {"training": {"batch_size": 5}},
    "training.learning_rate": {"training": {"learning_rate": 0.5}},
    "training.seed": {"training": {"seed": 7}},
    "training.weight_decay": {"training": {"weight_decay": 0.1}},
    "lora.rank": {"lora": {"rank": 4}},
    "lora.alpha": {"lora": {"alpha": 4}},
    "lora.targets": {"lora": {"targets": ["q_proj"]}},
    "data.train": {"rows": {"train": [*ROWS[1:], ROWS[0]]}},
    "data.max_tokens": {"data": {"validation": 2, "max_tokens": 99}},
    "base_model.dtype": {"base_model": {"dtype": "bfloat16"}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_X70_what_changed_is_refused_with_both_values(tiny_model_dir: Path, tmp_path: Path, name: str):
    run_dir = begun(tiny_model_dir, tmp_path)
    before = sorted(path.name for path in run_dir.rglob("*"))
    with pytest.raises(CheckpointError) as caught:
        tuner_for(tiny_model_dir, tmp_path, **CHANGES[name]).train(resume="auto")
    assert {problem.code for problem in caught.value.problems} == {"checkpoint.changed"}
    changed = {problem.field: problem for problem in caught.value.problems}
    assert name in changed
    assert changed[name].found != changed[name].allowed
    assert ("allow_changes" in changed[name].fix) == (name not in {"lora.rank", "lora.targets"})
    assert sorted(path.name for path in run_dir.rglob("*")) == before


def test_X70_a_changed_base_model_is_refused(tiny_model_dir: Path, tmp_path: Path):
    begun(tiny_model_dir, tmp_path / "runs")
    other = write_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError) as caught:
        tuner_for(other, tmp_path / "runs").train(resume="auto")
    assert [problem.field for problem in caught.value.problems] == ["base_model.fingerprint"]


def test_X70_an_end_that_is_already_passed_is_refused(tiny_model_dir: Path, tmp_path: Path):
    begun(tiny_model_dir, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        tuner_for(tiny_model_dir, tmp_path, training={"max_steps": 2}).train(
            resume="auto", allow_changes=["training.max_steps"]
        )
    assert caught.value.code == "checkpoint.beyond-end"


@pytest.mark.parametrize("name", ["training.batch_size", "training.learning_rate", "data.train", "lora.alpha"])
def test_X70_a_change_that_is_allowed_goes_on_and_is_written_down(tiny_model_dir: Path, tmp_path: Path, name: str):
    begun(tiny_model_dir, tmp_path)
    result = tuner_for(tiny_model_dir, tmp_path, **CHANGES[name]).train(
        resume="auto", allow_changes=name.replace("data.train", "data")
    )
    passport = read_passport(result.adapter_dir).training
    assert not passport.bit_exact
    assert name in passport.changes
    assert (result.resumed_from, result.steps) == (3, 6)


def test_X70_shapes_cannot_be_allowed_to_change(tiny_model_dir: Path, tmp_path: Path):
    begun(tiny_model_dir, tmp_path)
    with pytest.raises(CheckpointError):
        tuner_for(tiny_model_dir, tmp_path, lora={"rank": 4}).train(resume="auto", allow_changes=["lora"])


def test_what_cannot_touch_the_adapter_may_change(tiny_model_dir: Path, tmp_path: Path):
    whole = tuner_for(tiny_model_dir, tmp_path / "whole").train()
    run_dir = begun(tiny_model_dir, tmp_path / "runs")
    copy = shutil.copytree(tiny_model_dir, tmp_path / "the same model elsewhere")
    training = {"checkpoint_every_steps": 1, "keep_checkpoints": 5}
    other = tuner_for(copy, tmp_path / "other", training=training, generation={"max_new_tokens": 9})
    result = other.train(resume=run_dir)
    assert weights(result.adapter_dir) == weights(whole.adapter_dir)
    assert read_passport(result.adapter_dir).training.bit_exact


def test_a_change_that_nothing_is_called_is_refused(tiny_model_dir: Path, tmp_path: Path):
    begun(tiny_model_dir, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        tuner_for(tiny_model_dir, tmp_path).train(resume="auto", allow_changes=["learning_rate"])
    assert caught.value.code == "checkpoint.unknown-change"


def test_X71_other_libraries_are_refused_unless_allowed_and_another_machine_is_told(
    tiny_model_dir: Path, tmp_path: Path
):
    run_dir = begun(tiny_model_dir, tmp_path)
    path = "lorasdk.workbench.run_checkpoints."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path + "library_versions", lambda: {"torch": "9.9"})
        with pytest.raises(CheckpointError) as caught:
            tuner_for(tiny_model_dir, tmp_path).train(resume="auto")
        assert "versions.torch" in {problem.field for problem in caught.value.problems}
        result = tuner_for(tiny_model_dir, tmp_path).train(resume="auto", allow_changes=["versions"])
        assert "versions.torch" in read_passport(result.adapter_dir).training.changes
    shutil.rmtree(run_dir)
    begun(tiny_model_dir, tmp_path)
    events: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path + "platform.machine", lambda: "another")
        result = tuner_for(tiny_model_dir, tmp_path).train(resume="auto", on_event=events.append)
    assert "checkpoint.other-machine" in [event.code for event in events if isinstance(event, Notice)]
    passport = read_passport(result.adapter_dir).training
    assert (passport.changes, passport.bit_exact) == (("machine.processor",), False)


def test_X78_a_checkpoint_of_an_older_run_is_neither_resumed_nor_deleted(tiny_model_dir: Path, tmp_path: Path):
    first = tuner_for(tiny_model_dir, tmp_path, training={"max_steps": 8}).train()
    shutil.copytree(first.run_dir / "checkpoints" / "step-00000008", tmp_path / "kept")
    stale = begun(tiny_model_dir, tmp_path) / "checkpoints" / "step-00000008"
    shutil.copytree(tmp_path / "kept", stale)
    with pytest.raises(CheckpointError):
        tuner_for(tiny_model_dir, tmp_path).train(resume="auto")
    assert (stale / "adapter.safetensors").is_file()


def test_X81_a_failed_run_is_resumed_and_the_tuner_keeps_its_adapter(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    from lorasdk.forward.packed import PackedPasses

    whole = tuner_for(tiny_model_dir, tmp_path / "whole").train()
    tuner = tuner_for(tiny_model_dir, tmp_path / "runs")
    real, calls = PackedPasses.loss, []

    def failing(self, rows):
        nats = real(self, rows)
        calls.append(nats.requires_grad)
        if sum(calls) == 9:
            raise TrainingError(Problem("training.broken", "broken on purpose"))
        return nats

    monkeypatch.setattr(PackedPasses, "loss", failing)
    events: list[object] = []
    with pytest.raises(TrainingError):
        tuner.train(on_event=events.append)
    monkeypatch.undo()
    assert (events[-1].code, type(events[-1])) == ("training.broken", RunFailed)
    (log,) = (tmp_path / "runs").rglob("events.jsonl")
    assert list(read_events(log))[-1] == events[-1]
    resumed = tuner.train(resume="must")
    assert resumed.resumed_from == 4
    assert weights(resumed.adapter_dir) == weights(whole.adapter_dir)
    assert tuner.infer("hi").completion_tokens > 0


@pytest.mark.parametrize("when", ["before the start", "while rows are read", "while rows are encoded"])
def test_X60_a_stop_before_the_first_step_leaves_an_adapter_and_a_run_to_go_on_with(
    tiny_model_dir: Path, tmp_path: Path, when: str
):
    from lorasdk.data.split_encoding import SplitEncoding

    whole = tuner_for(tiny_model_dir, tmp_path / "whole").train()
    stop = StopToken()
    asked: list[None] = []

    def enough() -> bool:
        asked.append(None)
        return len(asked) > (4 if when == "while rows are read" else 10**9)

    with pytest.MonkeyPatch.context() as patch:
        if when == "before the start":
            stop.stop()
        elif when == "while rows are read":
            stop = StopToken(when=enough)
        else:
            patch.setattr(SplitEncoding, "run", _stopping(SplitEncoding.run, stop))
        rows = {"train": [{**row, "instruction": f"{when}: {row['instruction']}"} for row in ROWS]}
        stopped = tuner_for(tiny_model_dir, tmp_path / "runs", rows=rows).train(stop=stop)
    assert (stopped.stopped, stopped.steps) == ("requested", 0)
    assert FineTuner.from_adapter(stopped.adapter_dir).infer("hi").completion_tokens > 0
    resumed = tuner_for(tiny_model_dir, tmp_path / "runs", rows=rows).train(resume="must")
    assert resumed.run_dir == stopped.run_dir
    whole = tuner_for(tiny_model_dir, tmp_path / "again", rows=rows).train()
    assert weights(resumed.adapter_dir) == weights(whole.adapter_dir)


def _stopping(run, stop):
    def stopped(self, examples, *, between):
        stop.stop()
        return run(self, examples, between=between)

    return stopped


def test_a_run_that_is_abandoned_leaves_no_adapter(tiny_model_dir: Path, tmp_path: Path):
    stop, run_dirs = StopToken(), []

    def watch(event):
        if isinstance(event, RunStarted):
            run_dirs.append(event.run_dir)
        if isinstance(event, StepFinished) and event.step == 3:
            stop.stop(save=False)

    with pytest.raises(TrainingError) as caught:
        tuner_for(tiny_model_dir, tmp_path).train(stop=stop, on_event=watch)
    assert caught.value.code == "run.abandoned"
    (run_dir,) = run_dirs
    assert not (run_dir / "adapter").exists()
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["step-00000002"]


def test_X72_no_checkpoint_is_written_after_a_loss_that_is_not_finite(tiny_model_dir, tmp_path, monkeypatch):
    from lorasdk.forward.packed import PackedPasses

    real, calls = PackedPasses.loss, []

    def poisoned(self, rows):
        nats = real(self, rows)
        calls.append(nats.requires_grad)
        return nats * float("nan") if sum(calls) == 9 else nats

    monkeypatch.setattr(PackedPasses, "loss", poisoned)
    with pytest.raises(TrainingError):
        tuner_for(tiny_model_dir, tmp_path).train()
    steps = sorted(path.name for path in tmp_path.rglob("step-*"))
    assert steps == ["step-00000002", "step-00000004"]


@pytest.mark.parametrize("step", [3, 6])
def test_X64_a_run_folder_that_vanishes_leaves_the_adapter_elsewhere(tiny_model_dir, tmp_path, monkeypatch, step):
    import tempfile

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def watch(event):
        last = isinstance(event, CheckpointSaved) and step == 6
        if (isinstance(event, StepFinished) or last) and event.step == step:
            shutil.rmtree(tmp_path / "runs", ignore_errors=True)

    with pytest.raises(ResourceError) as caught:
        tuner_for(tiny_model_dir, tmp_path / "runs").train(on_event=watch)
    rescued = {problem.code: problem for problem in caught.value.problems}["run.rescued"]
    assert f"step {4 if step == 3 else 6}" in rescued.message
    assert FineTuner.from_adapter(rescued.place).infer("hi").completion_tokens > 0
    assert not (tmp_path / "runs").exists()


def test_a_run_keeps_its_events_and_says_how_it_ended(tiny_model_dir: Path, tmp_path: Path):
    run_dir = begun(tiny_model_dir, tmp_path)
    assert json.loads((run_dir / "run.json").read_text("utf-8"))["ended"] == "requested"
    tuner_for(tiny_model_dir, tmp_path).train(resume="must")
    assert json.loads((run_dir / "run.json").read_text("utf-8"))["ended"] == "finished"
    steps = [event.step for event in read_events(run_dir / "events.jsonl") if isinstance(event, StepFinished)]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_X64_what_is_rescued_has_the_weights_of_the_step_that_it_names(tiny_model_dir, tmp_path, monkeypatch):
    """The run stops early after its last checkpoint, and only then its folder is gone."""
    import tempfile

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    training = {"keep": "last", "eval_every_steps": 1, "early_stopping": {"patience": 3, "min_delta": 10.0}}

    def watch(event):
        if isinstance(event, RunStopped):
            shutil.rmtree(tmp_path / "runs")

    stopping = {**training, "checkpoint_every_steps": 3, "max_steps": 6}
    expected = tuner_for(tiny_model_dir, tmp_path / "whole", training={**training, "early_stopping": None})
    stop, until = stopped_after(3)
    expected = expected.train(stop=stop, on_event=until)
    with pytest.raises(ResourceError) as caught:
        tuner_for(tiny_model_dir, tmp_path / "runs", training=stopping).train(on_event=watch)
    rescued = {problem.code: problem for problem in caught.value.problems}["run.rescued"]
    passport = read_passport(Path(rescued.place)).training
    assert passport.saved_step == 3
    assert weights(Path(rescued.place)) == weights(expected.adapter_dir)
