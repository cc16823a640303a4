"""Several runs on one page."""

import re
import shutil
from pathlib import Path

import html5lib
import pytest
from sample_report import sample_report, sample_run

from lorasdk import AdapterError, DataError
from lorasdk.report import compare_runs, read_comparison, write_report


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two that were scored on the same rows."""
    folder = tmp_path_factory.mktemp("runs")
    one = sample_run(folder).run_dir
    two = sample_run(folder, lora={"rank": 4}, training={"epochs": 1, "learning_rate": 1e-3}).run_dir
    for run in (one, two):
        write_report(run, sample_report(), run_dir=run)
    return [one, two]


def test_runs_on_the_same_rows_are_comparable(runs: list[Path]):
    comparison = read_comparison(runs)
    assert comparison.comparable
    assert [run.label for run in comparison.runs] == ["wordnet-kinds run-0001", "wordnet-kinds run-0002"]
    assert {each.field: each.values for each in comparison.differences} == {
        "lora.rank": ("8", "4"),
        "training.epochs": ("2.0", "1.0"),
        "training.learning_rate": ("0.0002", "0.001"),
    }


def test_the_page_is_valid_and_has_scores_differences_and_curves(runs: list[Path]):
    page = compare_runs(runs)
    html5lib.HTMLParser(strict=True).parse(page)
    assert "all runs were scored on the same test rows" in page
    assert len(re.findall(r"<caption>exact_match</caption>", page)) == 1
    assert '<td class="other"><code>4</code></td>' in page
    assert "var(--series-1)" in page
    assert "stroke: var(--series-2)" in page
    assert page == compare_runs(runs)


def test_other_or_unknown_test_rows_are_said(runs: list[Path], tmp_path: Path):
    (tmp_path / "bare").mkdir()
    shutil.copy(runs[0] / "events.jsonl", tmp_path / "bare")
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    passport = other / "adapter" / "lorasdk.json"
    (hash_,) = {run.facts.split("test").sha256 for run in read_comparison(runs).runs}
    passport.write_text(passport.read_text().replace(hash_, "0" * 64))
    write_report(other, sample_report(), run_dir=other)
    comparison = read_comparison([runs[0], other, tmp_path / "bare"])
    assert [run.same_rows for run in comparison.runs] == [True, False, None]
    assert not comparison.comparable
    page = compare_runs([runs[0], other, tmp_path / "bare"])
    html5lib.HTMLParser(strict=True).parse(page)
    assert "Not all scores can be compared" in page
    assert "Its test rows are others than those of" in page
    assert "is not known" in page
    assert "not evaluated" in page


def test_the_same_run_twice_has_two_names(runs: list[Path]):
    labels = [run.label for run in read_comparison([runs[0]] * 3).runs]
    assert labels == ["wordnet-kinds run-0001", "wordnet-kinds run-0001 (2)", "wordnet-kinds run-0001 (3)"]


def test_one_run_is_no_comparison_and_no_run_is_an_error(runs: list[Path], tmp_path: Path):
    with pytest.raises(DataError) as few:
        compare_runs(runs[:1])
    assert few.value.code == "report.too-few-runs"
    with pytest.raises(AdapterError) as nothing:
        compare_runs([runs[0], tmp_path / "nowhere"])
    assert nothing.value.code == "report.missing"


def test_more_runs_than_colours(runs: list[Path]):
    page = compare_runs([runs[0]] * 8)
    html5lib.HTMLParser(strict=True).parse(page)
    assert page.partition("</style>")[2].count("stroke-dasharray: ") == 2
