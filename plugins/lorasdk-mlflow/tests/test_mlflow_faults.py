"""P92: whatever the server does, a training is the one it would have been. P94: secrets reach nobody."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from bad_servers import hanging, refusing
from lorasdk_mlflow import MlflowObserver
from lorasdk_mlflow.recording import THREAD
from pydantic import BaseModel, ConfigDict, SecretStr
from safetensors.numpy import load_file
from tracking_server import free_port

from lorasdk import FineTuner, StepFinished, TrainResult, hookimpl
from tests.tiny_training import ROWS, tiny_recipe

CANARIES = {
    "CANARY_TOKEN": "hf_canary_of_the_recipe",
    "CANARY_KEY": "key_canary_of_the_loader",
    "MLFLOW_TRACKING_USERNAME": "ann",
    "MLFLOW_TRACKING_PASSWORD": "canary_of_the_tracker",
}

IN_THE_ADDRESS = "canary_of_the_address"


def train(model: Path, output: Path, *plugins: object) -> TrainResult:
    recipe = tiny_recipe(model, output, training={"max_steps": 3})
    blocked = ["observer.mlflow"]
    with FineTuner.from_recipe(recipe, plugins=plugins, data={"train": ROWS}, blocked=blocked) as tuner:
        return tuner.train()


def bits(result: TrainResult) -> dict[str, bytes]:
    weights = load_file(result.adapter_dir / "adapter_model.safetensors")
    return {name: value.tobytes() for name, value in weights.items()}


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


OTHERS: set[int] = set()
"""Processes that were there before a test began: a browser or a server of other tests."""


@pytest.fixture(autouse=True)
def _know_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "OTHERS", {child.pid for child in psutil.Process().children()})


def nothing_is_left() -> bool:
    mine = {child.pid for child in psutil.Process().children()} - OTHERS
    return THREAD not in {thread.name for thread in threading.enumerate()} and not mine


@pytest.fixture
def plain(tiny_model_dir, tmp_path) -> dict[str, bytes]:
    """The adapter of a training that nobody watches."""
    return bits(train(tiny_model_dir, tmp_path / "plain"))


def test_P92_offline_is_one_warning_and_the_training_goes_on(tiny_model_dir, tmp_path, plain, caplog):
    uri = f"http://ann:hunter2@127.0.0.1:{free_port()}"
    observer = MlflowObserver(tracking_uri=uri, retries=1, request_seconds=2)
    assert bits(train(tiny_model_dir, tmp_path / "runs", observer)) == plain
    (warning,) = warnings_of(caplog)
    assert "is no longer logged to MLflow at http://127.0.0.1:" in warning
    assert "Connection refused" in warning or "Max retries exceeded" in warning
    assert "hunter2" not in caplog.text
    assert nothing_is_left()


def test_P92_unauthorised_is_one_warning_with_the_servers_reason(tiny_model_dir, tmp_path, plain, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    with refusing(b"your token t0ken has expired") as uri:
        assert bits(train(tiny_model_dir, tmp_path / "runs", MlflowObserver(tracking_uri=uri))) == plain
    (warning,) = warnings_of(caplog)
    assert "401" in warning
    assert "your token *** has expired" in warning
    assert nothing_is_left()


def test_P92_a_server_that_hangs_costs_the_end_of_a_run_no_more_than_was_allowed(
    tiny_model_dir, tmp_path, plain, caplog
):
    with hanging() as uri:
        observer = MlflowObserver(tracking_uri=uri, flush_seconds=0.5)
        steps: list[float] = []

        class Clock:
            @hookimpl
            def on_event(self, event):
                if isinstance(event, StepFinished):
                    steps.append(time.monotonic())

        result = train(tiny_model_dir, tmp_path / "runs", Clock(), observer)
        waited = time.monotonic() - steps[-1]
    assert bits(result) == plain
    assert waited < 10
    (warning,) = warnings_of(caplog)
    assert "not everything was sent within 0.5 s" in warning
    assert nothing_is_left()


def test_P92_a_server_that_hangs_is_given_up_by_its_own_bounds(tiny_model_dir, tmp_path, caplog):
    with hanging() as uri:
        observer = MlflowObserver(tracking_uri=uri, retries=0, request_seconds=1)
        train(tiny_model_dir, tmp_path / "runs", observer)
    (warning,) = warnings_of(caplog)
    assert "timed out" in warning
    assert nothing_is_left()


class Guarded:
    """Rows for who has the key."""

    name, summary = "guarded", "rows for who has the key"

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        key: SecretStr

    def check(self, options, context):
        return []

    def load(self, options, context):
        yield from ROWS

    @hookimpl
    def data_loaders(self):
        return [self]


def test_P94_no_secret_reaches_the_tracker_or_a_log(server, tiny_model_dir, tmp_path, monkeypatch, caplog):
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    recipe = tiny_recipe(tiny_model_dir, tmp_path, training={"max_steps": 2})
    recipe["base_model"]["token"] = "${env:CANARY_TOKEN}"
    recipe["data"] = {"train": {"loader": "guarded", "key": "${env:CANARY_KEY}"}, "test": 2}
    recipe["evaluation"] = {"evaluators": ["exact_match"]}
    uri = server.uri.replace("http://", f"http://ann:{IN_THE_ADDRESS}@")
    observer = MlflowObserver(tracking_uri=uri, experiment="secrets")
    plugins = [Guarded(), observer]
    caplog.set_level(logging.DEBUG)
    with FineTuner.from_recipe(json.dumps(recipe), plugins=plugins, blocked=["observer.mlflow"]) as tuner:
        tuner.train()
        tuner.evaluate()
    run = server.run("secrets")
    assert run.status == "FINISHED"
    assert "adapter/lorasdk.json" in run.artifacts("adapter")
    stored = [path for path in server.folder.rglob("*") if path.is_file()]
    assert len(stored) > 5
    secrets = [IN_THE_ADDRESS, *(value for value in CANARIES.values() if "canary" in value)]
    assert [path for path in stored for value in secrets if value.encode() in path.read_bytes()] == []
    assert [value for value in secrets if value in caplog.text] == []
