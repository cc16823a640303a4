"""A judge on this machine, and a user's cache folder of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from local_judge import LocalJudge, local_judge


@pytest.fixture
def judge() -> Iterator[LocalJudge]:
    with local_judge() as running:
        yield running


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache"
