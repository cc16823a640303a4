"""A run and its report, made once; and a browser, where one can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_chromium import NoBrowserError, find_chromium
from headless_browser import Page, open_browser
from sample_report import sample_run


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run; read it, never write into it."""
    return sample_run(tmp_path_factory.mktemp("run")).run_dir


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    try:
        with open_browser(find_chromium()) as page:
            yield page
    except NoBrowserError as why:
        pytest.skip(f"no browser: {why}")
