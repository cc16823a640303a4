"""Rows come back as they were written, one at a time, and a file that is not whole is found out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from lorasdk.data.encoding import TokenRow
from lorasdk.data.token_store import RowWriter, TokenStore, temporary_store

ROWS = [
    TokenRow(1, (5, 6, 7), ((1, 3),)),
    TokenRow(3, (8,), ()),
    TokenRow(9, tuple(range(40_000)), ((0, 2), (5, 40_000))),
]


def write(path: Path) -> Path:
    writer = RowWriter()
    for row in ROWS:
        writer.append(row)
    with path.open("wb") as file:
        writer.write(file, {"tokens": 4})
    return path


def test_rows_come_back_by_number_and_by_slice(tmp_path: Path):
    with write(tmp_path / "rows").open("rb") as file:
        store = TokenStore.map(file)
    assert list(store) == ROWS
    assert (len(store), store[-1], store[:2], store[5:]) == (3, ROWS[2], ROWS[:2], [])
    assert store.facts == {"tokens": 4}
    with pytest.raises(IndexError):
        store[3]


def test_the_file_is_one_that_other_programs_read(tmp_path: Path):
    arrays = load_file(write(tmp_path / "rows.safetensors"))
    assert arrays["starts"].tolist() == [0, 3, 4, 40_004]
    assert arrays["numbers"].tolist() == [1, 3, 9]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-4], lambda b: b[:-4] + b"oops", lambda b: b[:5], lambda b: b"{}" * 40]
)
def test_a_damaged_file_is_found_out(tmp_path: Path, damage):
    path = write(tmp_path / "rows")
    path.write_bytes(damage(path.read_bytes()))
    with path.open("rb") as file, pytest.raises(ValueError):  # noqa: PT011 - whatever it says, it is told as damage
        TokenStore.map(file)


def test_rows_are_written_whole_after_a_disk_that_was_full():
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    writer = RowWriter()
    writer.append(ROWS[0])
    with pytest.raises(OSError, match="No space"):
        writer.write(Full(), {})
    assert list(temporary_store(lambda file: writer.write(file, {}))) == [ROWS[0]]
