"""The site holds together: every page can be reached, and every link and picture is there."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import html5lib
import pytest
from built_site import ROOT, SOURCES, address
from ruamel.yaml import YAML

HERE = "https://site.invalid/"
ADDRESSES = {"a": "href", "img": "src", "script": "src", "link": "href", "source": "src", "object": "data"}
FROM_AFAR = {"img", "script", "source", "object"}
"""Elements whose address is asked for as soon as the page is opened."""


def test_the_builder_warns_of_nothing(built: tuple[Path, str]):
    assert built[1] == ""


def test_every_page_stands_in_the_navigation_once():
    # The rest of the file has tags of Python's.
    text = "nav:" + (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:")[1]
    pages = [page for section in YAML(typ="safe").load(text)["nav"] for pages in section.values() for page in pages]
    assert sorted(pages) == [source.as_posix() for source in SOURCES]


def test_sections_are_those_of_the_house():
    text = "nav:" + (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:")[1]
    sections = [name for section in YAML(typ="safe").load(text)["nav"] for name in section]
    assert sections == ["Start", "Tutorials", "Guides", "Plugins", "Reference", "Explain", "中文"]


@cache
def elements(file: Path) -> tuple[list[tuple[str, str]], frozenset[str]]:
    """Addresses with their elements, and anchors of a page."""
    tree = html5lib.parse(file.read_text("utf-8"), namespaceHTMLElements=False)
    named = [element for element in tree.iter() if isinstance(element.tag, str)]
    addresses = [
        (element.tag, element.attrib[ADDRESSES[element.tag]])
        for element in named
        if element.attrib.get(ADDRESSES.get(element.tag, ""))
    ]
    return addresses, frozenset(element.attrib["id"] for element in named if "id" in element.attrib)


def within(site: Path, page: str) -> Iterator[tuple[str, Path, str]]:
    """What a page names inside the site: as written, the file, and the anchor."""
    for _, written in elements(site / page / "index.html")[0]:
        where = urlsplit(urljoin(HERE + page, written))
        if where.netloc == urlsplit(HERE).netloc:
            file = site / unquote(where.path).lstrip("/")
            yield written, file / "index.html" if where.path.endswith("/") else file, unquote(where.fragment)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.as_posix())
def test_links_of_a_page_lead_somewhere(site: Path, source: Path):
    broken = [
        written
        for written, file, anchor in within(site, address(source))
        if not file.is_file() or (anchor and file.suffix == ".html" and anchor not in elements(file)[1])
    ]
    assert broken == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.as_posix())
def test_a_page_shows_nothing_from_afar(site: Path, source: Path):
    shown = [written for tag, written in elements(site / address(source) / "index.html")[0] if tag in FROM_AFAR]
    assert [written for written in shown if urlsplit(written).netloc] == []


def test_the_builder_leaves_no_source_out(site: Path):
    assert [source for source in SOURCES if not (site / address(source) / "index.html").is_file()] == []
