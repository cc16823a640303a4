"""What the job gives when nobody disturbs it; and the site, built once and looked at in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from built_site import build_site, serve
from debian_chromium import NoBrowserError, find_chromium
from headless_browser import Page, open_browser
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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder of the built site, and what its builder warned of."""
    folder = tmp_path_factory.mktemp("site")
    return folder, build_site(folder)


@pytest.fixture(scope="session")
def site(built: tuple[Path, str]) -> Path:
    """Folder of the built site; read it, never write into it."""
    return built[0]


@pytest.fixture(scope="module")
def site_address(site: Path) -> Iterator[str]:
    with serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    try:
        with open_browser(find_chromium()) as page:
            yield page
    except NoBrowserError as why:
        pytest.skip(f"no browser: {why}")
