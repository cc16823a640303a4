import json
from pathlib import Path

import pytest
from file_reading import ROW, load, refused, write

from lorasdk.data.bad_rows import BadRows


def test_blank_lines_are_no_rows(tmp_path: Path):
    assert load(write(tmp_path, "rows.jsonl", f"\n{json.dumps(ROW)}\n  \n")) == [ROW]


def test_D25_bad_json_is_named_with_line_column_and_a_snippet(tmp_path: Path):
    lines = [json.dumps(ROW)] * 3000
    lines[1316] = '{"instruction": "' + "x" * 200 + '", "output": oops}'
    problem = refused(write(tmp_path, "rows.jsonl", "\n".join(lines) + "\n"))
    column = lines[1316].index("oops") + 1
    assert problem.place == f"{tmp_path / 'rows.jsonl'}:1317:{column}"
    assert "oops" in problem.found
    assert len(problem.found) <= 80


def test_D25_a_mistake_in_a_last_line_without_line_end_is_no_truncation(tmp_path: Path):
    assert refused(write(tmp_path, "rows.jsonl", '{"output": oops}')).code == "data.bad-json"


def test_D25_bad_json_in_a_list_has_line_and_column(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.json", f'[{json.dumps(ROW)},\n{{"output": oops}}]'))
    assert (problem.code, problem.place) == ("data.bad-json", f"{tmp_path / 'rows.json'}:2:12")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_D25_a_number_beyond_all_limits_is_bad_json(tmp_path: Path, name: str):
    assert refused(write(tmp_path, name, '[{"output": ' + "1" * 5000 + "}]")).code == "data.bad-json"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_D25_nesting_beyond_all_limits_is_bad_json(tmp_path: Path, name: str):
    assert refused(write(tmp_path, name, "[" * 100_000 + "\n")).code in {"data.bad-json", "data.truncated-file"}


LAST = '{"instruction": "grüße", "output": {"good": true, "n": [1]}}'


@pytest.mark.parametrize(
    ("name", "before", "last"),
    [
        ("rows.jsonl", json.dumps(ROW) + "\n", LAST),
        ("rows.json", "[", LAST + "]"),
        ("rows.csv", "instruction,output\n1,2\n", '"grüße\n\nan, alle"'),
    ],
)
def test_D26_a_file_cut_anywhere_inside_its_last_row_appears_truncated(
    tmp_path: Path, name: str, before: str, last: str
):
    for cut in range(1, len(last.encode())):
        problem = refused(write(tmp_path, name, before.encode() + last.encode()[:cut]))
        assert (cut, problem.code) == (cut, "data.truncated-file")
        assert "file appears truncated" in problem.message


def test_D26_a_truncated_last_line_says_so(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.jsonl", f'{json.dumps(ROW)}\n{{"instruction": "a", "out'))
    assert problem.code == "data.truncated-file"
    assert "file appears truncated" in problem.message
    assert ":2:" in problem.place


def test_D26_with_skip_the_rest_is_used_and_the_row_counted(tmp_path: Path):
    bad = BadRows("skip")
    assert load(write(tmp_path, "rows.jsonl", f'{json.dumps(ROW)}\n{{"instruct'), bad=bad) == [ROW]
    assert len(bad.problems) == 1


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_D27_invalid_utf_8_is_named_with_row_and_byte(tmp_path: Path, name: str, mark: bytes):
    good = mark + (b"instruction,output\n" if name == "rows.csv" else json.dumps(ROW).encode() + b"\n")
    problem = refused(write(tmp_path, name, good + b"caf\xe9,x\n"))
    assert problem.code == "data.encoding"
    assert f"byte {len(good) + 3} " in problem.message
    assert problem.place.endswith(":2")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_D27_a_json_list_counts_its_bytes_too(tmp_path: Path, mark: bytes):
    problem = refused(write(tmp_path, "rows.json", mark + b'["caf\xe9"]'))
    assert (problem.code, f"byte {len(mark) + 5} " in problem.message) == ("data.encoding", True)


def test_D27_another_encoding_is_refused_at_its_first_line(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.csv", "instruction,output\na,b\n".encode("utf-16")))
    assert (problem.code, problem.place) == ("data.encoding", f"{tmp_path / 'rows.csv'}:1")


def test_D27_with_skip_only_the_row_is_left_out(tmp_path: Path):
    bad = BadRows("skip")
    path = write(tmp_path, "rows.csv", b"instruction,output\ncaf\xe9,x\na,b\n1,2,3\n")
    assert load(path, bad=bad) == [ROW]
    assert [problem.place for problem in bad.problems] == [f"{path}:2", f"{path}:4"]


def test_D29_a_line_that_is_no_object_is_a_bad_row(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.jsonl", "[1]\n"))
    assert (problem.code, problem.found) == ("data.row-not-an-object", "[1]")
