"""A safetensors file is believed only when what it says can be true."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from lorasdk.basemodel.safetensors_header import read_stored_tensors
from lorasdk.errors import AdapterError, ModelError

WHOLE = save({"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)})


def write(path: Path, header: object, data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(start: int, end: int, shape: tuple[object, ...] = (4,), dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def test_the_tensors_are_listed_by_offset(tmp_path: Path):
    save_file({"b": torch.zeros(4, dtype=torch.bfloat16), "a": torch.ones(2, 3)}, tmp_path / "x", metadata={"k": "v"})
    tensors = read_stored_tensors(tmp_path / "x", error=ModelError)
    assert [(t.name, t.dtype, t.shape, t.size) for t in tensors] == [("a", "F32", (2, 3), 24), ("b", "BF16", (4,), 8)]
    content = (tmp_path / "x").read_bytes()
    assert content[tensors[0].start : tensors[0].start + 4] == struct.pack("<f", 1.0)


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(0, 99)},
        {"a": entry(0, 16), "b": entry(8, 24)},
        {"a": entry(8, 24)},
        {"a": entry(0, 16, shape=(5,))},
        {"a": entry(0, 16, shape=(-4,))},
        {"a": entry(0, 16, shape=(4.0,))},
        {"a": entry(0, 16, dtype="PICKLE")},
        {"a": {"dtype": "F32"}},
        {"a": 3},
        ["a"],
    ],
)
def test_M50_a_header_that_lies_is_refused_naming_the_file(header: object, tmp_path: Path):
    path = write(tmp_path / "lies.safetensors", header, bytes(16))
    with pytest.raises(ModelError) as caught:
        read_stored_tensors(path, error=ModelError)
    assert caught.value.code == "file.damaged-safetensors"
    assert caught.value.problems[0].place == str(path)


def test_the_callers_error_type_is_raised(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(AdapterError):
        read_stored_tensors(tmp_path / "x", error=AdapterError)


@given(length=st.integers(0, len(WHOLE) - 1))
@settings(max_examples=50, deadline=None)
def test_M50_any_truncation_is_noticed(length: int, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "truncated.safetensors"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(ModelError):
        read_stored_tensors(path, error=ModelError)


@given(content=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_M50_random_bytes_raise_nothing_but_our_error(content: bytes, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_stored_tensors(path, error=ModelError)
