"""What readers do with the site: search, find their way on a phone, read in the dark, copy code."""

from pathlib import Path

import pytest
from built_site import SOURCES, address
from headless_browser import Page

DARK = "document.body.dataset.mdColorScheme === 'slate'"


def ready(browser: Page, where: str, *, width: int = 1200, dark: bool = False) -> Page:
    """The page as somebody sees it who has never been here."""
    browser.look(width=width, dark=dark)
    browser.open(where)
    browser.value("localStorage.clear()")
    browser.open(where)
    return browser


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.as_posix())
def test_a_page_asks_nobody_else_and_complains_of_nothing(browser: Page, site_address: str, source: Path):
    browser.look(width=1200)
    browser.open(site_address + address(source))
    asked = [url for url in browser.requests() if not url.startswith((site_address, "data:", "blob:"))]
    refused = [answer["response"]["url"] for answer in browser.of("Network.responseReceived") if not _is_well(answer)]
    assert (asked, refused) == ([], [])
    assert browser.of("Network.loadingFailed") == []
    assert browser.complaints() == []


def _is_well(answer: dict) -> bool:
    return answer["response"]["status"] < 400


def test_search_finds_resume(browser: Page, site_address: str):
    ready(browser, site_address)
    browser.click(".md-search__input")
    browser.write("resume")
    # Results come a few at a time, and again after each letter.
    links = "[...document.querySelectorAll('.md-search-result__link')].map(a => a.pathname)"
    browser.wait_until(f"{links}.includes('/resuming/')")
    found = browser.value(links)
    browser.said.clear()
    browser.click(".md-search-result__link")
    browser.wait_for_load()
    assert browser.value("location.pathname") in found
    browser.wait_until("document.querySelectorAll('article mark').length > 0")


def test_a_search_for_nothing_says_so(browser: Page, site_address: str):
    ready(browser, site_address)
    browser.click(".md-search__input")
    browser.write("zzzzqqqq")
    browser.wait_until("/no matching/i.test(document.querySelector('.md-search-result__meta').textContent)")


def test_on_a_phone_the_drawer_leads_to_a_page(browser: Page, site_address: str):
    ready(browser, site_address, width=390)
    assert browser.value("document.querySelector('.md-sidebar--primary').getBoundingClientRect().right") <= 0
    browser.click("label.md-header__button[for=__drawer]")
    browser.wait_until("document.querySelector('.md-sidebar--primary').getBoundingClientRect().left === 0")
    browser.click("label.md-nav__title[for=__nav_1]")  # back from the section that is open
    browser.click("label.md-nav__link[for=__nav_2]")
    browser.said.clear()
    browser.click("#__nav_2 ~ nav a.md-nav__link")
    browser.wait_for_load()
    assert browser.value("location.pathname") != "/"
    assert browser.value("document.querySelector('h1').getBoundingClientRect().width") > 0


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.as_posix())
def test_no_page_is_wider_than_a_phone(browser: Page, site_address: str, source: Path):
    browser.look(width=390)
    browser.open(site_address + address(source))
    assert browser.value("document.scrollingElement.scrollWidth") <= 390


def test_the_reader_chooses_dark_and_it_is_kept(browser: Page, site_address: str):
    ready(browser, site_address)
    assert not browser.value(DARK)
    for title in ("Switch to light mode", "Switch to dark mode"):
        browser.click(f"label.md-header__button[title='{title}']")
    browser.wait_until(DARK)
    browser.open(site_address + "quickstart/")
    assert browser.value(DARK)
    assert browser.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"


def test_who_prefers_dark_gets_it_unasked(browser: Page, site_address: str):
    ready(browser, site_address, dark=True)
    assert browser.value(DARK)


def test_copy_buttons_copy_the_code(browser: Page, site_address: str):
    browser.ask("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.ask("Emulation.setFocusEmulationEnabled", enabled=True)
    ready(browser, site_address)
    code = browser.value("document.querySelector('article pre > code').textContent")
    browser.click("article .highlight button[title='Copy to clipboard'], article .highlight .md-clipboard")
    browser.wait_until("document.querySelector('.md-dialog')?.textContent.includes('Copied')")
    assert browser.value("navigator.clipboard.readText()").strip() == code.strip()
    assert "FineTuner" in code


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200], ids=["phone", "desk"])
def test_pages_look_like_something(browser: Page, site_address: str, tmp_path: Path, width: int, dark: bool):
    ready(browser, site_address, width=width, dark=dark)
    browser.screenshot(tmp_path / "start.png", height=900)
    assert len(shades(tmp_path / "start.png")) > 50


def shades(picture: Path) -> set[tuple[float, ...]]:
    """The colours of its pixels."""
    from matplotlib.image import imread

    return {tuple(pixel) for pixel in imread(picture)[::2, ::2, :3].reshape(-1, 3).tolist()}
