"""What an application may ask for, and what the environment asks for."""

from __future__ import annotations

import pytest
from lorasdk_mlflow import MlflowObserver
from lorasdk_mlflow.options import TrackingOptions

from lorasdk import PluginError


def test_an_observer_without_a_server_is_refused():
    with pytest.raises(PluginError) as refused:
        MlflowObserver()
    assert refused.value.code == "mlflow.no-server"


def test_the_environment_may_name_the_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host")
    assert TrackingOptions.of_application(None).tracking_uri.get_secret_value() == "http://host"


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(PluginError) as refused:
        MlflowObserver(tracking_uri="http://host", flush_seconds=0, retires=3)
    assert [problem.field for problem in refused.value.problems] == ["flush_seconds", "retires"]
    assert "retries" in refused.value.problems[1].allowed


def test_every_option_is_documented():
    assert all(field.description for field in TrackingOptions.model_fields.values())


def test_without_the_variable_nothing_is_asked_for(monkeypatch):
    assert TrackingOptions.of_environment() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " ")
    assert TrackingOptions.of_environment() is None


def test_variables_name_server_and_experiment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    options = TrackingOptions.of_environment()
    assert options is not None
    assert options.experiment == "ours"


def test_P94_options_do_not_show_the_address():
    assert "hunter2" not in repr(TrackingOptions.of(tracking_uri="http://ann:hunter2@host"))
    with pytest.raises(PluginError) as refused:
        MlflowObserver(tracking_uri="http://ann:hunter2@host", tags="hunter2")
    assert "hunter2" not in str(refused.value)
