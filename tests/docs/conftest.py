"""What the job gives when nobody disturbs it."""

from pathlib import Path

import pytest
from one_job import ROWS, job, weights

from lorasdk import FineTuner


@pytest.fixture(scope="session")
def undisturbed(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """SHA-256 of the adapter's weights."""
    recipe = job(tiny_model_dir, tmp_path_factory.mktemp("undisturbed"))
    return weights(FineTuner.from_recipe(recipe, data={"train": ROWS}).train())


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that are started."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
