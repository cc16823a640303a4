"""Every error of the reference says what to do, and says it as the code does."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def program():
    spec = importlib.util.spec_from_file_location("error_cures", ROOT / "docs" / "error_cures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_says_what_the_code_says():
    written = program()
    page = written.PAGE.read_text("utf-8")
    current = written.with_cures(page, written.stated_cures(ROOT / "lorasdk"))
    assert page == current, "run: python docs/error_cures.py"


def test_every_error_has_a_cure():
    written = program()
    assert written.without_cure(written.PAGE.read_text("utf-8")) == []


def test_what_the_code_puts_together_is_left_to_the_page(tmp_path: Path):
    (tmp_path / "a.py").write_text('Problem(code="a.plain", fix="do *this*")\nProblem(code="a.built", fix=f"do {x}")\n')
    page = "| `a.plain` | cause | old |\n| `a.built` | cause | by hand |\n| `a.new` | cause |\n"
    cured = program().with_cures(page, program().stated_cures(tmp_path))
    assert cured == "| `a.plain` | cause | do \\*this\\* |\n| `a.built` | cause | by hand |\n| `a.new` | cause |  |\n"
    assert program().without_cure(cured) == ["a.new"]
