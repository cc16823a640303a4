"""The comparison with other tools: every answer has a source, and those about lorasdk are there."""

import re

import pytest
from one_job import DOCS

PAGE = (DOCS / "alternatives.md").read_text("utf-8")
OVERVIEW, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
VERDICTS = {"yes", "partly", "no", "not checked"}


def cells(text: str) -> list[list[str]]:
    """The rows of a table, its head first, without the line below it."""
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")] for row in rows]


HEAD, *ROWS = cells(OVERVIEW)
TOOLS = HEAD[1:]
QUESTIONS = [re.sub(r"\[(.*)\]\(.*\)", r"\1", row[0]) for row in ROWS]


def test_every_row_of_the_overview_has_a_section():
    assert [section.splitlines()[0] for section in SECTIONS] == QUESTIONS


@pytest.mark.parametrize("number", range(len(ROWS)), ids=QUESTIONS)
def test_the_overview_says_what_the_section_says(number: int):
    answers = cells(SECTIONS[number])[1:]
    assert [tool for tool, _, _ in answers] == TOOLS
    assert [answer.split(":")[0] for _, answer, _ in answers] == ROWS[number][1:]
    assert set(ROWS[number][1:]) <= VERDICTS


@pytest.mark.parametrize("section", SECTIONS, ids=QUESTIONS)
def test_every_answer_has_a_source(section: str):
    for tool, answer, source in cells(section)[1:]:
        assert source or answer == "not checked", tool


@pytest.mark.parametrize("section", SECTIONS, ids=QUESTIONS)
def test_what_is_said_of_lorasdk_is_tested_or_stands_on_a_page(section: str):
    _, _, source = cells(section)[1]
    tests = re.findall(r"`(tests/[^`]*)::([^`]*)`", source)
    pages = re.findall(r"\]\(([^)]*)\)", source)
    assert tests or pages
    assert all(f"def {name}(" in (DOCS.parent / file).read_text("utf-8") for file, name in tests)
    assert all((DOCS / page).is_file() for page in pages)


def test_others_are_ahead_in_three_rows_at_least():
    assert sum(row[1] == "no" and "yes" in row for row in ROWS) >= 3
