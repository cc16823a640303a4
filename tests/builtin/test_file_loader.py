import csv
import gzip
import io
import json
from contextlib import suppress
from pathlib import Path

import pytest
from file_reading import ROW, load, refused, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorasdk.builtin.file_loader import FileLoader, FileOptions
from lorasdk.contracts import LoadContext
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.errors import DataError, LorasdkError
from lorasdk.recipe.schema import DataSource


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


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.json.gz", "rows.csv.gz"])
def test_a_gzip_file_with_flipped_bytes_is_named(tmp_path: Path, name: str):
    content = bytearray(gzip.compress(json.dumps([ROW, {"instruction": "x" * 50}]).encode()))
    content[10:20] = b"\xff" * 10
    assert refused(write(tmp_path, name, bytes(content))).code == "data.damaged-gzip"


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz"])
def test_unpacking_stops_at_the_limits(tmp_path: Path, monkeypatch, name: str):
    path = write(tmp_path, name, gzip.compress(b"instruction,output\n" + b"a,b\n" * 1000))
    monkeypatch.setattr("lorasdk.builtin.opening.MAX_UNPACKED_BYTES", 500)
    with pytest.raises(DataError) as caught:
        load(path, bad=BadRows("skip"))
    assert caught.value.code == "data.too-large"


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("lorasdk.builtin.opening.MAX_LINE_BYTES", 100)
    assert refused(write(tmp_path, "rows.csv", b"x" * 101)).code == "data.too-large"


def test_rows_come_before_the_file_is_read_to_its_end(tmp_path: Path):
    path = write(tmp_path, "rows.jsonl", f"{json.dumps(ROW)}\n" * 2 + "no json\n")
    context = LoadContext(tmp_path, "", "train", BadRows("error").report)
    rows = FileLoader().load(FileOptions(path=path.name), context)
    assert next(iter(rows)) == ROW


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


@pytest.mark.parametrize("name", ["x" * 300 + ".jsonl", "a\0b.jsonl"])
def test_D23_a_name_that_no_file_can_have_is_found_without_reading(tmp_path: Path, name: str):
    context = LoadContext(tmp_path, "", "train", BadRows("error").report)
    (problem,) = FileLoader().check(FileOptions(path=name), context)
    assert problem.code == "data.unreadable"


def test_D23_the_home_of_somebody_unknown_is_no_such_file(tmp_path: Path):
    context = LoadContext(tmp_path, "", "train", BadRows("error").report)
    (problem,) = FileLoader().check(FileOptions(path="~nobody-of-this-name/rows.jsonl"), context)
    assert problem.code == "data.no-such-file"


def test_D23_a_file_that_may_not_be_read_is_found_without_reading(tmp_path: Path, monkeypatch):
    path = write(tmp_path, "rows.jsonl", json.dumps(ROW))
    monkeypatch.setattr("os.access", lambda _path, _mode: False)  # the super-user may read everything
    problem = refused(path)
    assert (problem.code, problem.place) == ("data.unreadable", str(path))
    assert "permission" in problem.message


def test_D24_an_empty_parquet_file_says_so(tmp_path: Path):
    assert refused(write(tmp_path, "rows.parquet", b"")).code == "data.no-rows"


@pytest.mark.parametrize("content", ["", "\n \n\n"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_D24_a_file_without_rows_says_so(tmp_path: Path, name: str, content: str):
    problem = refused(write(tmp_path, name, content))
    assert (problem.code, "no samples in file" in problem.message) == ("data.no-rows", True)


@given(content=st.binary(max_size=200) | st.text(st.sampled_from('{}[]",:\n ab1'), max_size=80).map(str.encode))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet", "rows.jsonl.gz"])
def test_any_bytes_raise_nothing_but_our_errors(tmp_path: Path, name: str, content: bytes):
    path = write(tmp_path, name, content)
    with suppress(LorasdkError):
        load(path)  # on its own, since `read_examples` would translate what escapes
    bad = BadRows("error")
    context = LoadContext(tmp_path, "", "train", bad.report)
    with suppress(LorasdkError):
        rows = FileLoader().load(FileOptions(path=name), context)
        read_examples(rows, source=DataSource(), origin=path.name, bad=bad)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl.gz"])
def test_any_damage_to_a_good_file_raises_nothing_but_our_errors(tmp_path: Path, name: str, data: st.DataObject):
    import pyarrow as pa
    from pyarrow import parquet

    if name == "rows.parquet":
        sink = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist([ROW] * 20), sink)
        content = bytearray(sink.getvalue())
    else:
        content = bytearray(gzip.compress(f"{json.dumps(ROW)}\n".encode() * 20))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    with suppress(LorasdkError):
        load(write(tmp_path, name, bytes(content[: data.draw(st.integers(0, len(content)))])))
