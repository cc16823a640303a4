"""`lorasdk report` and `lorasdk compare`."""

import json
from pathlib import Path

import pytest
from sample_report import sample_report, sample_run

from lorasdk.cli import main
from lorasdk.report import write_report


@pytest.fixture
def run(capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    run_dir = sample_run(tmp_path).run_dir
    write_report(run_dir, sample_report(), run_dir=run_dir)
    return run_dir


def test_report_builds_the_pages_again(run, evaluated: Path, tmp_path: Path):
    written = (evaluated / "report.html").read_bytes()
    (evaluated / "report.html").unlink()
    code, out, _ = run("report", evaluated)
    assert (code, out.strip()) == (0, str(evaluated / "report.html"))
    assert (evaluated / "report.html").read_bytes() == written
    code, out, _ = run("report", evaluated / "adapter", "--output", tmp_path / "pages", "--json")
    assert (code, json.loads(out)["markdown"]) == (0, str(tmp_path / "pages" / "report.md"))
    assert (tmp_path / "pages" / "report.html").read_bytes() == written


def test_report_says_what_to_do_where_there_is_none(run, tmp_path: Path):
    code, out, err = run("report", tmp_path)
    assert (code, out) == (4, "")
    assert "report.missing" in err
    assert "lorasdk evaluate RUN_OR_ADAPTER" in err


def test_compare_writes_one_page(run, evaluated: Path, tmp_path: Path):
    other = sample_run(tmp_path, lora={"rank": 4}).run_dir
    page = tmp_path / "new" / "page.html"
    code, out, _ = run("compare", evaluated, other, "--output", page)
    assert (code, out.strip()) == (0, str(page))
    assert "2</data> runs side by side" in page.read_text("utf-8")
    code, out, _ = run("compare", evaluated, other, "--output", page, "--json")
    told = json.loads(out)
    assert (code, told["comparable"], told["page"]) == (0, True, str(page))
    assert told["differences"] == [{"field": "lora.rank", "values": ["8", "4"]}]
    assert [each["scores"] is None for each in told["runs"]] == [False, True]


def test_compare_needs_two_runs_and_a_place(run, evaluated: Path, tmp_path: Path):
    code, _, err = run("compare", evaluated, "--output", tmp_path / "page.html")
    assert (code, "report.too-few-runs" in err) == (2, True)
    (tmp_path / "file").write_text("")
    code, _, err = run("compare", evaluated, evaluated, "--output", tmp_path / "file" / "page.html")
    assert (code, "report.disk" in err) == (3, True)
