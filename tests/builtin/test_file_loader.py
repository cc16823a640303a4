import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorasdk.builtin.file_loader import FileLoader, FileOptions
from lorasdk.contracts import LoadContext
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.errors import DataError, LorasdkError
from lorasdk.recipe.schema import DataSource

ROW = {"instruction": "a", "output": "b"}


def load(path: Path, *, bad: BadRows | None = None, **options: str):
    bad = bad or BadRows("error")
    context = LoadContext(path.parent, "recipe.yaml:3:5", "train", bad.report)
    rows = list(FileLoader().load(FileOptions(path=path.name, **options), context))
    bad.settle()
    return rows


def refused(path: Path, **options: str):
    with pytest.raises(DataError) as caught:
        load(path, **options)
    return caught.value.problems[0]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.json", "rows.csv", "rows.tsv", "rows.parquet"])
def test_every_kind_gives_the_same_rows(tmp_path: Path, name: str):
    path = tmp_path / name
    if name.endswith("parquet"):
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist([ROW, ROW]), path)
    elif name.endswith(("csv", "tsv")):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ROW, delimiter="\t" if name.endswith("tsv") else ",")
            writer.writeheader()
            writer.writerows([ROW, ROW])
    else:
        lines = json.dumps([ROW, ROW]) if name.endswith(".json") else f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n"
        path.write_text(lines)
    assert load(path) == [ROW, ROW]


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz"])
def test_compressed_files_are_unpacked_as_they_are_read(tmp_path: Path, name: str):
    text = "instruction,output\na,b\n" if "csv" in name else json.dumps(ROW)
    assert load(write(tmp_path, name, gzip.compress(text.encode()))) == [ROW]


def test_a_damaged_gzip_file_is_named(tmp_path: Path):
    whole = gzip.compress(json.dumps(ROW).encode() * 100)
    assert refused(write(tmp_path, "rows.jsonl.gz", whole[: len(whole) // 2])).code == "data.damaged-gzip"


def test_blank_lines_are_no_rows(tmp_path: Path):
    assert load(write(tmp_path, "rows.jsonl", f"\n{json.dumps(ROW)}\n  \n")) == [ROW]


def test_D23_a_missing_file_is_named_with_working_directory_and_recipe_line(tmp_path: Path):
    problem = refused(tmp_path / "gone.jsonl")
    assert problem.code == "data.no-such-file"
    assert problem.place == str(tmp_path / "gone.jsonl")
    assert str(Path.cwd()) in problem.message
    assert "recipe.yaml:3:5" in problem.found


def test_D23_a_folder_and_an_unknown_suffix_are_found_without_reading(tmp_path: Path):
    (tmp_path / "rows.jsonl").mkdir()
    assert refused(tmp_path / "rows.jsonl").code == "data.is-folder"
    assert refused(write(tmp_path, "rows.xlsx", b"x")).code == "data.unknown-suffix"


@pytest.mark.parametrize("content", ["", "\n \n\n"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_D24_a_file_without_rows_says_so(tmp_path: Path, name: str, content: str):
    problem = refused(write(tmp_path, name, content))
    assert (problem.code, "no samples in file" in problem.message) == ("data.no-rows", True)


def test_D25_bad_json_is_named_with_line_column_and_a_snippet(tmp_path: Path):
    lines = [json.dumps(ROW)] * 3000
    lines[1316] = '{"instruction": "' + "x" * 200 + '", "output": oops}'
    problem = refused(write(tmp_path, "rows.jsonl", "\n".join(lines) + "\n"))
    column = lines[1316].index("oops") + 1
    assert problem.place == f"{tmp_path / 'rows.jsonl'}:1317:{column}"
    assert "oops" in problem.found
    assert len(problem.found) <= 80


def test_D26_a_truncated_last_line_says_so(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.jsonl", f'{json.dumps(ROW)}\n{{"instruction": "a", "out'))
    assert problem.code == "data.truncated-file"
    assert "file appears truncated" in problem.message
    assert ":2:" in problem.place


def test_D26_with_skip_the_rest_is_used_and_the_row_counted(tmp_path: Path):
    bad = BadRows("skip")
    assert load(write(tmp_path, "rows.jsonl", f'{json.dumps(ROW)}\n{{"instruct'), bad=bad) == [ROW]
    assert len(bad.problems) == 1


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_D27_invalid_utf_8_is_named_with_row_and_byte(tmp_path: Path, name: str):
    good = b"instruction,output\n" if name == "rows.csv" else json.dumps(ROW).encode() + b"\n"
    problem = refused(write(tmp_path, name, good + b"caf\xe9,x\n"))
    assert problem.code == "data.encoding"
    assert f"byte {len(good) + 3} " in problem.message
    assert problem.place.endswith(":2")


def test_D29_a_line_that_is_no_object_is_a_bad_row(tmp_path: Path):
    problem = refused(write(tmp_path, "rows.jsonl", "[1]\n"))
    assert (problem.code, problem.found) == ("data.row-not-an-object", "[1]")


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


def test_D39_a_truncated_parquet_file_is_named_and_its_footer_missed(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist([ROW] * 100), path)
    path.write_bytes(path.read_bytes()[:-20])
    problem = refused(path)
    assert "footer missing" in problem.message
    assert problem.place == str(path)


@given(content=st.binary(max_size=200) | st.text(st.sampled_from('{}[]",:\n ab1'), max_size=80).map(str.encode))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet", "rows.jsonl.gz"])
def test_any_bytes_raise_nothing_but_our_errors(tmp_path: Path, name: str, content: bytes):
    path = write(tmp_path, name, content)
    bad = BadRows("error")
    context = LoadContext(tmp_path, "", "train", bad.report)
    try:
        rows = FileLoader().load(FileOptions(path=name), context)
        read_examples(rows, source=DataSource(), origin=path.name, bad=bad)
    except LorasdkError:
        pass  # the only kind that may come
