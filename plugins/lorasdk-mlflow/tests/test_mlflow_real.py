"""Real trainings of a tiny model, logged to a real tracking server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from lorasdk_mlflow import MlflowObserver
from lorasdk_mlflow.recording import THREAD
from tracking_server import Run, TrackingServer

from lorasdk import FineTuner, StepFinished, StopToken, TrainingError, TrainResult
from tests.tiny_training import ROWS, tiny_recipe

STEPS = {"max_steps": 6, "checkpoint_every_steps": 2, "eval_every_steps": 3}
DATA = {"train": ROWS, "test": ROWS[:4]}


def tuner(model: Path, output: Path, *plugins: object, data=DATA, **training) -> FineTuner:
    recipe = tiny_recipe(model, output, training={**STEPS, **training}, data={"validation": 2})
    recipe["evaluation"] = {"evaluators": ["exact_match"], "max_overlap": None}
    return FineTuner.from_recipe(recipe, plugins=plugins, data=data, blocked=["observer.mlflow"] if plugins else ())


def observing(server: TrackingServer, experiment: str, **options) -> MlflowObserver:
    return MlflowObserver(tracking_uri=server.uri, experiment=experiment, batch_seconds=0.1, **options)


def train_until(tuner: FineTuner, step: int, **how) -> TrainResult:
    stop = StopToken()

    def watch(event: object) -> None:
        if isinstance(event, StepFinished) and event.step == step:
            stop.stop()

    return tuner.train(stop=stop, on_event=watch, **how)


@pytest.fixture(scope="module")
def trained(server: TrackingServer, tiny_model_dir: Path, tmp_path_factory) -> tuple[Run, TrainResult]:
    """One training and its comparison, as the server tells it afterwards."""
    observer = observing(server, "trained", tags={"team": "support"})
    with tuner(tiny_model_dir, tmp_path_factory.mktemp("runs"), observer) as training:
        result = training.train()
        training.evaluate()
    return server.run("trained"), result


def test_a_training_is_one_finished_run_with_its_recipe(trained):
    run, result = trained
    assert run.status == "FINISHED"
    assert run.told["info"]["run_name"] == f"tiny {result.run_dir.name}"
    assert run.params["training.max_steps"] == "6"
    assert run.params["base_model.dtype"] == "float32"
    assert run.params["prepared.train.rows"] == "8"
    assert run.params["attached.trainable_parameters"] == str(result.trainable_parameters)
    assert run.tags["team"] == "support"
    assert run.tags["lorasdk.run_dir"] == str(result.run_dir)


def test_every_step_has_its_numbers(trained):
    run, result = trained
    assert run.history("loss") == [(point.step, pytest.approx(point.loss)) for point in result.history]
    assert [step for step, _ in run.history("learning_rate")] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in run.history("validation.loss")] == [point.step for point in result.validations]
    assert run.metrics["seconds"] > 0


def test_adapter_recipe_and_report_are_artifacts(trained):
    run, result = trained
    assert run.artifacts() == {"adapter", "recipe.yaml", "report"}
    assert run.artifacts("adapter") == {f"adapter/{file.name}" for file in result.adapter_dir.iterdir()}
    assert "adapter/lorasdk.json" in run.artifacts("adapter")
    assert run.artifacts("report") == {"report/report.html", "report/report.json", "report/report.md"}


def test_base_and_tuned_scores_come_to_the_same_run(trained):
    run, _ = trained
    assert {"base.exact_match", "tuned.exact_match"} <= run.metrics.keys()
    assert run.metrics["compared_rows"] == 4


def test_mlflow_git_and_the_users_name_stay_out(trained):
    run, _ = trained
    assert {name for name in run.tags if name.startswith("mlflow.")} == {"mlflow.runName"}


def test_the_program_and_its_own_use_of_mlflow_are_as_they_were(server, tiny_model_dir, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef")
    environment, children = dict(os.environ), psutil.Process().children()
    with tuner(tiny_model_dir, tmp_path, observing(server, "guest")) as training:
        training.train()
    assert dict(os.environ) == environment
    assert psutil.Process().children() == children
    assert [thread for thread in threading.enumerate() if thread.name == THREAD] == []
    assert "mlflow" not in sys.modules
    assert capfd.readouterr() == ("", "")
    run = server.run("guest")
    assert run.status == "FINISHED"
    assert "adapter" in run.artifacts()


def test_a_resumed_run_goes_on_in_the_same_run(server, tiny_model_dir, tmp_path):
    observer = observing(server, "resumed")
    with tuner(tiny_model_dir, tmp_path, observer) as training:
        train_until(training, 3)
        assert server.run("resumed").status == "KILLED"
    with tuner(tiny_model_dir, tmp_path, observer) as training:
        result = training.train(resume="must")
    run = server.run("resumed")
    assert result.resumed_from == 3
    assert run.status == "FINISHED"
    assert [step for step, _ in run.history("loss")] == [1, 2, 3, 4, 5, 6]
    assert run.tags["lorasdk.resumed_from"] == "3"


def test_steps_that_are_taken_again_are_logged_once(server, tiny_model_dir, tmp_path):
    observer = observing(server, "again")
    with tuner(tiny_model_dir, tmp_path, observer) as training:
        run_dir = train_until(training, 5).run_dir
    (newest,) = run_dir.glob("checkpoints/*5")
    newest.rename(tmp_path / "lost")  # as if the program had been killed before it was written
    with tuner(tiny_model_dir, tmp_path, observer) as training:
        assert training.train(resume="must").resumed_from == 4
    assert [step for step, _ in server.run("again").history("loss")] == [1, 2, 3, 4, 5, 6]


def test_two_trainings_at_once_share_an_observer_and_do_not_mix(server, tiny_model_dir, tmp_path):
    observer = observing(server, "both")
    tuners = [tuner(tiny_model_dir, tmp_path / rate, observer, learning_rate=float(rate)) for rate in ("1e-2", "1e-3")]
    runs = [training.start() for training in tuners]
    results = [run.result() for run in runs]
    told = {run.tags["lorasdk.run_dir"]: run for run in (Run(server, told) for told in server.runs("both"))}
    assert told.keys() == {str(result.run_dir) for result in results}
    for result in results:
        losses = [(point.step, pytest.approx(point.loss)) for point in result.history]
        assert told[str(result.run_dir)].history("loss") == losses


def test_an_observer_in_place_of_the_installed_one_logs_a_run_once(server, tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "once")
    with tuner(tiny_model_dir, tmp_path, observing(server, "once")) as training:
        training.train()
    assert len(server.runs("once")) == 1


def test_a_failed_training_is_a_failed_run(server, tiny_model_dir, tmp_path):
    stop = StopToken()
    stop.stop(save=False)
    with tuner(tiny_model_dir, tmp_path, observing(server, "failed")) as training, pytest.raises(TrainingError):
        training.train(stop=stop)
    run = server.run("failed")
    assert run.status == "FAILED"
    assert run.tags["lorasdk.error_code"] == "run.abandoned"


def test_a_training_that_ctrl_c_ended_is_killed_and_the_next_one_is_its_own(server, tiny_model_dir, tmp_path):
    def interrupt(event: object) -> None:
        if isinstance(event, StepFinished) and event.step == 2:
            raise KeyboardInterrupt

    with tuner(tiny_model_dir, tmp_path, observing(server, "interrupted")) as training:
        with pytest.raises(KeyboardInterrupt):
            training.train(on_event=interrupt)
        assert server.run("interrupted").status == "KILLED"
        training.train(resume="never")
    first, second = (Run(server, told) for told in server.runs("interrupted"))
    assert (first.status, second.status) == ("KILLED", "FINISHED")
    assert [step for step, _ in first.history("loss")] == [1, 2]
    assert [step for step, _ in second.history("loss")] == [1, 2, 3, 4, 5, 6]


def test_the_installed_package_records_where_the_environment_says(server, tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "installed")
    with tuner(tiny_model_dir, tmp_path) as training:
        training.start(isolation="process").result()
    run = server.run("installed")
    assert run.status == "FINISHED"
    assert len(run.history("loss")) == 6


DYING = """
import os, signal, sys, time
from pathlib import Path
from lorasdk import LossSpike, RunStarted
from lorasdk_mlflow import MlflowObserver
observer = MlflowObserver(tracking_uri=sys.argv[1], experiment="killed", batch_seconds=0)
run_dir = Path(sys.argv[2])
observer.on_event(RunStarted(run_dir, "tiny", "f00d"), run_dir)
for step, loss in enumerate((9.0, float("inf"), float("nan")), start=1):
    observer.on_event(LossSpike(step, loss, 1.0, False), run_dir)
time.sleep(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_run_of_a_program_that_is_killed_does_not_run_for_ever(server, tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: tiny\n")
    dead = subprocess.run([sys.executable, "-c", DYING, server.uri, str(tmp_path)], timeout=60, check=False)
    assert dead.returncode == -signal.SIGKILL
    latest = time.monotonic() + 30
    while not (runs := server.runs("killed")) or runs[0]["info"]["status"] == "RUNNING":
        assert time.monotonic() < latest
        time.sleep(0.1)
    run = server.run("killed")
    assert run.status == "KILLED"
    (first, *others) = run.history("loss_spike")
    assert first == (1, 9.0)
    assert [step for step, _ in others] == [2, 3]
