"""The page in a real browser: no complaint, no request, no horizontal scroll; and what it looks like."""

from pathlib import Path

import pytest
from headless_browser import Page
from sample_report import sample_report

from lorasdk.report import compare_runs, write_report

LOOKS = {
    "light": {"width": 1100},
    "dark": {"width": 1100, "dark": True},
    "telephone": {"width": 375},
    "telephone-dark": {"width": 375, "dark": True},
    "printed": {"width": 800, "media": "print", "dark": True},
}
BEYOND = """[...document.querySelectorAll("body *")].filter(
    e => !e.closest(".scroll") && getComputedStyle(e).clipPath === "none" && !e.closest(".stack thead")
        && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def pages(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "comparison.html").write_text(compare_runs([run_dir, run_dir]), "utf-8")
    hostile = write_report(folder / "hostile", sample_report(hostile=True), run_dir=run_dir)
    return {"report": hostile.html, "comparison": folder / "comparison.html"}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_it_opens_without_a_complaint_or_a_request_and_fits(
    browser: Page, pages: dict[str, Path], name: str, look: str, tmp_path: Path
):
    browser.look(**LOOKS[look])
    browser.open(pages[name])
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]
    width = browser.value("document.documentElement.clientWidth")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(BEYOND) == []
    assert browser.value("Math.min(...[...document.querySelectorAll('main caption')].map(e => e.offsetWidth))") > 150
    browser.screenshot(tmp_path / f"{name}-{look}.png")
    assert (tmp_path / f"{name}-{look}.png").stat().st_size > 10_000


def test_its_colours_follow_the_reader_and_print_is_light(browser: Page, pages: dict[str, Path]):
    seen = {}
    for look in ("light", "dark", "printed"):
        browser.look(**LOOKS[look])
        browser.open(pages["report"])
        line = "getComputedStyle(document.querySelector('.plot path[style*=\"series-1\"]')).stroke"
        seen[look] = [browser.value("getComputedStyle(document.body).backgroundColor"), browser.value(line)]
    assert seen["light"] == seen["printed"]
    assert seen["light"][0] != seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]
    assert browser.pdf().startswith(b"%PDF")


def test_its_text_cannot_run_and_everything_reached_by_key_is_seen(browser: Page, pages: dict[str, Path]):
    browser.look(**LOOKS["light"])
    browser.open(pages["report"])
    assert browser.value("document.scripts.length") == 0
    assert browser.value("document.querySelectorAll('summary, [tabindex]').length") > 2
    ring = "(e => (e.focus({focusVisible: true}), getComputedStyle(e).outlineStyle))(document.querySelector('summary'))"
    assert browser.value(ring) == "solid"
