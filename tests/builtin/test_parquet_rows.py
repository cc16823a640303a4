from pathlib import Path

from file_reading import ROW, refused, write


def test_D39_bytes_that_are_no_text_name_the_parquet_file(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    column = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"text": column}), path)
    assert (refused(path).code, refused(path).place) == ("data.bad-parquet", str(path))


def test_D39_another_file_is_called_no_parquet(tmp_path: Path):
    assert "no Parquet file" in refused(write(tmp_path, "rows.parquet", b"instruction,output\na,b\n")).message


def test_D39_a_truncated_parquet_file_is_named_and_its_footer_missed(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist([ROW] * 100), path)
    path.write_bytes(path.read_bytes()[:-20])
    problem = refused(path)
    assert "footer missing" in problem.message
    assert problem.place == str(path)
