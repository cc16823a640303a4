from pathlib import Path

import pytest
from file_reading import ROW, load, refused, write
from pydantic import ValidationError

from lorasdk.builtin.file_loader import FileOptions
from lorasdk.data.bad_rows import BadRows


def test_D38_quoted_line_breaks_and_a_byte_order_mark_are_read(tmp_path: Path):
    rows = load(write(tmp_path, "rows.csv", b'\xef\xbb\xbfinstruction,output\n"a\nb","c, d"\n'))
    assert rows == [{"instruction": "a\nb", "output": "c, d"}]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_D38_a_wrong_delimiter_is_recognised(tmp_path: Path, mark: str):
    path = write(tmp_path, "rows.csv", f"instruction{mark}output\na{mark}b\n")
    problem = refused(path)
    assert problem.code == "data.wrong-delimiter"
    assert repr(mark)[1:-1] in problem.fix
    assert load(path, delimiter=mark) == [ROW]


def test_D38_a_record_of_another_width_is_a_bad_row(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.csv", "instruction,output\na,b,c\n"))
    assert (problem.code, problem.place) == ("data.wrong-width", f"{tmp_path / 'rows.csv'}:2")


def test_D38_quotes_that_do_not_fit_are_a_bad_row_with_its_line(tmp_path: Path):
    path = write(tmp_path, "rows.csv", 'instruction,output\n"a"x,b\na,b\n')
    problem = refused(path)
    assert (problem.code, problem.place) == ("data.bad-csv", f"{path}:2")
    assert load(path, bad=BadRows("skip")) == [ROW]


def test_D38_a_column_name_that_stands_twice_is_shown(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.csv", "output,output\na,b\n"))
    assert (problem.code, "'output'" in problem.message) == ("data.double-column", True)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_D38_every_line_end_of_spreadsheets_is_read(tmp_path: Path, end: str):
    assert load(write(tmp_path, "rows.csv", f"instruction,output{end}a,b{end}{end}a,b{end}")) == [ROW, ROW]


def test_D38_a_tsv_file_in_capitals_has_tabs_too(tmp_path: Path):
    assert load(write(tmp_path, "ROWS.TSV", "instruction\toutput\na\tb\n")) == [ROW]


@pytest.mark.parametrize("mark", ['"', "\n", "\r", "", ",,"])
def test_D38_a_delimiter_that_cannot_be_one_is_refused(mark: str):
    with pytest.raises(ValidationError):
        FileOptions(path="rows.csv", delimiter=mark)
