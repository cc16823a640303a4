"""What every plugin must honour."""

from __future__ import annotations

from lorasdk_mlflow import MlflowObserver, plugin
from tracking_server import free_port

from lorasdk.testing import check_plugin


def test_the_installed_observer_keeps_the_rules_of_plugins():
    check_plugin(plugin)


def test_an_observer_at_a_server_that_is_away_keeps_the_rules_of_plugins(caplog):
    check_plugin(MlflowObserver(tracking_uri=f"http://127.0.0.1:{free_port()}", retries=0))
    assert caplog.records
