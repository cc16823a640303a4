"""A real tracking server, a tiny model, and no trace of the developer's own MLflow settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from tracking_server import ServerUnavailableError, TrackingServer, tracking_server

from lorasdk.data.token_cache import TokenCache
from tests.tiny_model import write_tiny_model


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session", autouse=True)
def _own_token_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("cache") / "tokens"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenCache, "of_user", classmethod(lambda cls: cls(folder)))
        yield


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """`mlflow server` on this machine; tests that need it are skipped, with the reason, where it cannot start."""
    try:
        with tracking_server(tmp_path_factory.mktemp("mlflow")) as running:
            yield running
    except ServerUnavailableError as error:
        pytest.skip(str(error))
