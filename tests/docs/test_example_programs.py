"""The programs of the documentation are files that can be copied, and their page shows them as they are."""

import pytest
from one_job import DOCS

PAGE = (DOCS / "embedding.md").read_text("utf-8")
PROGRAMS = sorted((DOCS / "examples").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_the_page_shows_the_program_and_leads_to_its_file(program):
    assert f"```python\n{program.read_text('utf-8')}```\n" in PAGE
    assert f"](examples/{program.name})" in PAGE
