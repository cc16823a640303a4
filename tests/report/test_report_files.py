"""The three files: written whole, read back equal, built again to the same bytes; and typed errors."""

import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_report import sample_report

from lorasdk import AdapterError, DataError, EvalReport, Interval, ResourceError, Score
from lorasdk.report import read_report, rebuild_report, report_home, write_report
from lorasdk.report.document import ReportDocument, document_of, document_text
from lorasdk.report.facts import RunFacts


def test_a_report_comes_back_equal_with_every_digit(tmp_path: Path):
    odd = Score("odd", 0.1 + 0.2, math.inf, (1 / 3, 5e-324), (1.0, math.pi), interval=Interval(-math.inf, 1e308))
    report = EvalReport(
        2, (odd, *sample_report(hostile=True).scores), 1 / 7, answers=sample_report(hostile=True).answers
    )
    files = write_report(tmp_path, report, run_dir=None)
    assert read_report(files.json) == report


def test_building_again_gives_the_same_bytes(run_dir: Path, tmp_path: Path):
    files = write_report(tmp_path, sample_report(hostile=True), run_dir=run_dir)
    written = {path: path.read_bytes() for path in (files.html, files.markdown, files.json)}
    files.html.unlink()
    again = rebuild_report(tmp_path)
    assert again == files
    assert {path: path.read_bytes() for path in written} == written
    elsewhere = rebuild_report(files.json, folder=tmp_path / "other" / "place")
    assert elsewhere.html.read_bytes() == written[files.html]


def test_whole_numbers_where_shares_belong_make_no_other_page(tmp_path: Path):
    files = write_report(tmp_path, EvalReport(1, (Score("exact_match", 0, 1, (0,), (1,)),), 1), run_dir=None)
    written = files.html.read_bytes()
    assert rebuild_report(tmp_path).html.read_bytes() == written


def test_nothing_of_matplotlib_s_is_left_changed(run_dir: Path, tmp_path: Path):
    program = f"""
import sys
from dataclasses import replace
from pathlib import Path
import matplotlib as mpl
mpl.rcParams["axes.facecolor"] = "red"
before = {{name: mpl.rcParams._get(name) for name in mpl.rcParams}}
from lorasdk.report import write_report
from lorasdk import EvalReport
write_report(Path({str(tmp_path)!r}), EvalReport(0, (), 0.0), run_dir=Path({str(run_dir)!r}))
assert {{name: mpl.rcParams._get(name) for name in mpl.rcParams}} == before
assert "matplotlib.pyplot" not in sys.modules
assert ": red" not in Path({str(tmp_path)!r}, "report.html").read_text("utf-8").split("</style>")[1]
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_environment_stays_where_matplotlib_finds_no_home(run_dir: Path, tmp_path: Path):
    program = f"""
import os
from pathlib import Path
from lorasdk import EvalReport
from lorasdk.report import write_report
before = dict(os.environ)
write_report(Path({str(tmp_path)!r}), EvalReport(0, (), 0.0), run_dir=Path({str(run_dir)!r}))
assert dict(os.environ) == before
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}
    command = [sys.executable, "-c", program]
    homeless = environment | {"HOME": "/dev/null"}
    done = subprocess.run(command, env=homeless, capture_output=True, text=True, check=False)
    assert (done.returncode, "temporary cache directory" in done.stderr) == (0, True), done.stderr


def test_importing_the_room_is_cheap():
    heavy = ("torch", "transformers", "matplotlib", "jinja2", "numpy")
    program = f"import sys, lorasdk.report; assert not {{*sys.modules}} & {{*{heavy}}}, {{*sys.modules}} & {{*{heavy}}}"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("where", ["run", "run/adapter", "."])
def test_a_report_is_found_from_its_run_its_adapter_and_the_folder_of_runs(run_dir: Path, tmp_path: Path, where: str):
    run = tmp_path / "run-0003"
    shutil.copytree(run_dir, run)
    written = write_report(run, sample_report(), run_dir=run)
    assert rebuild_report(tmp_path / where.replace("run", "run-0003", 1)) == written


def test_a_report_belongs_to_the_run_and_to_an_adapter_that_was_copied(run_dir: Path, tmp_path: Path):
    assert report_home(run_dir / "adapter") == report_home(run_dir) == report_home(run_dir.parent) == run_dir
    shutil.copytree(run_dir / "adapter", tmp_path / "adapter")
    assert report_home(tmp_path / "adapter") == tmp_path / "adapter"
    assert report_home(tmp_path / "nowhere") is None


def test_an_older_run_s_report_is_not_taken_for_the_latest_one_s(run_dir: Path, tmp_path: Path):
    for name in ("run-0001", "run-0002"):
        shutil.copytree(run_dir, tmp_path / name)
    write_report(tmp_path / "run-0001", sample_report(), run_dir=run_dir)
    with pytest.raises(AdapterError) as caught:
        rebuild_report(tmp_path)
    assert caught.value.problems[0].found == "no report.json in run-0002"


def test_where_nobody_evaluated_the_error_says_what_to_do(run_dir: Path, tmp_path: Path):
    for path in (run_dir, tmp_path / "nowhere"):
        with pytest.raises(AdapterError) as caught:
            rebuild_report(path)
        assert caught.value.code == "report.missing"
        assert "lorasdk evaluate" in caught.value.problems[0].fix


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"record": "Other"}', b"\xff\xfe", None], ids=repr)
def test_a_damaged_report_is_an_error_of_ours(tmp_path: Path, damage: bytes | None):
    path = write_report(tmp_path, sample_report(), run_dir=None).json
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    with pytest.raises(AdapterError) as caught:
        read_report(path)
    assert caught.value.code == "report.damaged"
    assert str(path) in str(caught.value)


def test_a_report_that_contradicts_itself_is_damaged_too(tmp_path: Path):
    report = sample_report()
    one = replace(report.scores[0], base_rows=report.scores[0].base_rows[1:])
    for wrong in (
        replace(report, scores=(one,)),
        replace(report, labels=replace(report.labels, base_confusion=report.labels.base_confusion[1:])),
    ):
        (tmp_path / "report.json").write_text(document_text(ReportDocument(wrong, RunFacts())), "utf-8")
        with pytest.raises(AdapterError) as caught:
            rebuild_report(tmp_path)
        assert caught.value.code == "report.damaged"


@given(st.binary() | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_an_error_of_ours(written: bytes):
    with pytest.raises(DataError):
        document_of(written)


def test_fields_of_a_newer_release_are_left_out(tmp_path: Path):
    path = write_report(tmp_path, sample_report(), run_dir=None).json
    path.write_text(path.read_text("utf-8").replace('"rows": 40', '"rows": 40, "mood": "good"', 1), "utf-8")
    assert read_report(path) == sample_report()


def test_a_disk_that_refuses_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError) as caught:
        write_report(tmp_path / "file" / "report", sample_report(), run_dir=None)
    assert caught.value.code == "report.disk"
