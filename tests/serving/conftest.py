from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, serving, tiny_adapter


@pytest.fixture(scope="session")
def tiny_adapters(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters whose answers can be told apart."""
    folder = tmp_path_factory.mktemp("served")
    answers = {"alpha": "yes", "beta": "no no", "gamma": "Paris"}
    return {name: tiny_adapter(tiny_model_dir, folder, name, answer) for name, answer in answers.items()}


@pytest.fixture(scope="module")
def served(tiny_adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two of them and the base model."""
    arguments = [tiny_adapters["alpha"], "--adapter", f"beta={tiny_adapters['beta']}", "--base-id", "tiny"]
    keys = ["--api-key-env", "CLIENT_KEY", "--admin-key-env", "ADMIN_KEY"]
    bounds = ["--adapters-root", tiny_adapters["gamma"].parents[2], "--max-rows", 8, "--max-waiting", 64]
    with serving(*arguments, *keys, *bounds, cache=tmp_path_factory.mktemp("cache")) as it:
        yield it
