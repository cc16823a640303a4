"""Rows of a Parquet file, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorasdk.contracts import Row
from lorasdk.errors import DataError, Problem

MAGIC = b"PAR1"
ROWS_AT_A_TIME = 1024


def parquet_rows(path: Path) -> Iterator[Row]:
    """Yield each row as a mapping.

    Raises:
        DataError: the file is no Parquet, is truncated, or is damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not path.stat().st_size:
        return
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: bytes that are no text, dates out of range
        raise DataError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> Problem:
    with path.open("rb") as file:
        begins = file.read(len(MAGIC)) == MAGIC
        size = file.seek(0, 2)
        file.seek(max(0, size - len(MAGIC)))
        ends = file.read() == MAGIC
    if begins and not ends:
        message, fix = "footer missing: the Parquet file is truncated", "write or copy the file again"
    elif not begins:
        message, fix = "this is no Parquet file", "set kind to what the file holds"
    else:
        message, fix = f"the Parquet file is damaged: {error}", "write or copy the file again"
    return Problem(code="data.bad-parquet", message=message, place=str(path), fix=fix)
