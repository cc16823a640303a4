"""Events in, commands out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lorasdk_mlflow.commands import Close, Describe, Measure, Open, Upload, command_line, read_command
from lorasdk_mlflow.narrator import Narrator
from lorasdk_mlflow.options import TrackingOptions

from lorasdk import (
    AdapterAttached,
    AdapterSaved,
    BaseModelLoaded,
    CheckpointSaved,
    ComparisonFinished,
    DataPrepared,
    EvaluationFinished,
    LossSpike,
    MicroBatchHalved,
    Notice,
    PredictionProgress,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
)

STEP = StepFinished(
    step=3,
    total_steps=9,
    epoch=0.5,
    loss=1.25,
    learning_rate=1e-3,
    gradient_norm=0.5,
    tokens=100,
    tokens_per_second=50.0,
    peak_memory_bytes=1000,
    seconds_left=1.0,
)


def narrator(**options) -> Narrator:
    return Narrator(TrackingOptions.of(tracking_uri="http://host", **options), now=lambda: 12.3456)


def values(command: Measure) -> dict[str, float]:
    return {reading.name: reading.value for reading in command.readings}


def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny" / "run-0001"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("name: tiny\nlora: {rank: 4}\n")
    return folder


def test_a_start_opens_a_run_with_the_recipe_as_parameters(tmp_path: Path):
    folder = run_dir(tmp_path)
    opening, described, recipe = narrator(tags={"team": "a"}).tell(RunStarted(folder, "tiny", "f00d"))
    assert isinstance(opening, Open)
    assert (opening.experiment, opening.run_name, opening.find) == ("tiny", "tiny run-0001", False)
    assert opening.run_dir == str(folder)
    assert opening.tags == {"team": "a", "lorasdk.recipe_fingerprint": "f00d", "lorasdk.version": "0.1.0"}
    assert described == Describe(params={"name": "tiny", "lora.rank": "4"})
    assert recipe == Upload(path=str(folder / "recipe.yaml"))


def test_options_name_experiment_and_run(tmp_path: Path):
    opening = narrator(experiment="e", run_name="r").tell(RunStarted(run_dir(tmp_path), "tiny", "f00d"))[0]
    assert isinstance(opening, Open)
    assert (opening.experiment, opening.run_name) == ("e", "r")


def test_a_resumed_run_is_looked_for(tmp_path: Path):
    opening = narrator().tell(RunStarted(run_dir(tmp_path), "tiny", "f00d", resumed_from=4))[0]
    assert isinstance(opening, Open)
    assert (opening.find, opening.running, opening.resumed_from) == (True, True, 4)
    assert opening.tags["lorasdk.resumed_from"] == "4"


def test_a_step_is_measured_at_its_step():
    (measured,) = narrator().tell(STEP)
    assert isinstance(measured, Measure)
    assert values(measured) == {
        "loss": 1.25,
        "learning_rate": 1e-3,
        "gradient_norm": 0.5,
        "epoch": 0.5,
        "tokens": 100.0,
        "tokens_per_second": 50.0,
        "peak_memory_bytes": 1000.0,
    }
    assert {(reading.step, reading.time_ms) for reading in measured.readings} == {(3, 12345)}


def test_a_validation_is_measured_and_the_best_one_marked():
    (measured,) = narrator().tell(EvaluationFinished(4, {"loss": 2.0, "odd(name)": 1.0}, best=True))
    assert values(measured) == {"validation.loss": 2.0, "validation.odd_name_": 1.0, "validation.best_step": 4.0}
    (measured,) = narrator().tell(EvaluationFinished(4, {"loss": 2.0}, best=False))
    assert "validation.best_step" not in values(measured)


def test_what_goes_otherwise_than_planned_is_measured_where_it_happened():
    (spike,) = narrator().tell(LossSpike(5, 9.0, 0.5, skipped=True))
    assert values(spike) == {"loss_spike": 9.0, "loss_spike_skipped": 1.0}
    halved, why = narrator().tell(MicroBatchHalved(6, 2, "4 GB needed"))
    assert values(halved) == {"micro_batch_rows": 2.0}
    assert why == Describe(tags={"lorasdk.micro_batch": "4 GB needed"})


def test_what_is_known_once_becomes_parameters():
    (data,) = narrator().tell(DataPrepared("train", rows=9, skipped=1, tokens=90, supervised_tokens=40, longest=12))
    assert data.params["prepared.train.rows"] == "9"
    (base,) = narrator().tell(BaseModelLoaded("folder:x", "cpu", "float32", "none", 100, 1.5))
    assert base.params == {"loaded.device": "cpu", "loaded.dtype": "float32", "loaded.parameters": "100"}
    (adapter,) = narrator().tell(AdapterAttached(10, 110, ("a", "b")))
    assert adapter.params["attached.modules"] == "2"


def test_notices_are_tags_without_credentials():
    (tag,) = narrator().tell(Notice("sql.slow", "postgres://ann:hunter2@host takes its time"))
    assert tag == Describe(tags={"lorasdk.notice.sql.slow": "postgres://host takes its time"})


def test_the_adapter_is_uploaded_unless_it_is_not_wanted():
    saved = AdapterSaved(Path("/runs/1/adapter"), 7)
    assert narrator().tell(saved)[1:] == [Upload(path="/runs/1/adapter", under="adapter")]
    assert narrator(log_adapter=False).tell(saved) == [Describe(tags={"lorasdk.adapter_step": "7"})]


def test_an_end_is_finished():
    measured, closed = narrator().tell(RunFinished(Path("/runs/1/adapter"), 9, 2.5))
    assert values(measured) == {"seconds": 2.5}
    assert closed == Close(status="FINISHED", time_ms=12345)


def test_a_stop_on_request_is_killed_and_early_stopping_is_not():
    for reason, status in [("requested", "KILLED"), ("early_stopping", "FINISHED")]:
        telling = narrator()
        assert telling.tell(RunStopped(4, reason)) == [
            Describe(tags={"lorasdk.stopped": reason, "lorasdk.stopped_at": "4"})
        ]
        assert telling.tell(RunFinished(Path("/runs/1/adapter"), 4, 2.5))[-1] == Close(status=status, time_ms=12345)


def test_a_failure_is_failed_with_its_code():
    described, closed = narrator().tell(RunFailed("loss.not-finite", "the loss is nan"))
    assert described.tags == {"lorasdk.error_code": "loss.not-finite", "lorasdk.error": "the loss is nan"}
    assert closed == Close(status="FAILED", time_ms=12345)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_a_run_that_the_end_of_its_program_ended_is_killed(interrupt):
    described, closed = narrator().tell(RunFailed(interrupt.__name__, ""))
    assert described.tags == {"lorasdk.error_code": interrupt.__name__}
    assert closed == Close(status="KILLED", time_ms=12345)


def test_P94_the_words_of_foreign_errors_are_not_logged():
    described, _ = narrator().tell(RunFailed("ConnectionError", "key abc123 was refused"))
    assert described.tags == {"lorasdk.error_code": "ConnectionError"}


def test_a_comparison_inside_a_run_is_measured_at_its_last_step():
    telling = narrator()
    telling.tell(STEP)
    measured, *reports = telling.tell(ComparisonFinished(Path("/runs/1/adapter"), 5, {"choice": 0.2}, {"choice": 0.9}))
    assert values(measured) == {"base.choice": 0.2, "tuned.choice": 0.9, "compared_rows": 5.0}
    assert measured.readings[0].step == 3
    assert [Path(report.path).name for report in reports] == ["report.html", "report.md", "report.json"]
    assert {(Path(report.path).parent, report.under) for report in reports} == {(Path("/runs/1"), "report")}


def test_a_comparison_alone_looks_for_its_run_by_the_folder(tmp_path: Path):
    adapter = tmp_path / "run-0003" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "lorasdk.json").write_text(json.dumps({"recipe": {"name": "tiny", "lora": {"rank": 4}}}))
    opening, described, *_, closed = narrator().alone(ComparisonFinished(adapter, 5, {}, {}))
    assert isinstance(opening, Open)
    assert (opening.experiment, opening.run_dir) == ("tiny", str(tmp_path / "run-0003"))
    assert (opening.find, opening.running) == (True, False)
    assert described == Describe(params={"name": "tiny", "lora.rank": "4"})
    assert closed == Close(status=None, time_ms=12345)


def test_a_comparison_of_an_adapter_without_a_passport_has_a_name_still(tmp_path: Path):
    opening = narrator().alone(ComparisonFinished(tmp_path / "adapter", 5, {}, {}))[0]
    assert isinstance(opening, Open)
    assert opening.experiment == "adapter"


def test_what_mlflow_has_no_place_for_is_left_out():
    assert narrator().tell(PredictionProgress(1, 2, "base")) == []
    assert narrator().tell(CheckpointSaved(Path("/runs/1/checkpoints/3"), 3)) == []


def test_commands_cross_a_pipe_unchanged_also_with_numbers_that_are_none():
    (measured,) = narrator().tell(LossSpike(5, float("inf"), 0.5, skipped=False))
    assert read_command(command_line(measured)) == measured
    assert command_line(measured).count(b"\n") == 1


def test_P94_a_command_does_not_show_the_address(tmp_path: Path):
    telling = Narrator(TrackingOptions.of(tracking_uri="http://ann:hunter2@host"))
    assert "hunter2" not in repr(telling.tell(RunStarted(run_dir(tmp_path), "tiny", "f00d")))
