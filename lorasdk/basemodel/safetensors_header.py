"""Reads what a safetensors file says it holds, and proves that it can be true, before any library maps it.

Layout: 8 bytes little-endian length N, N bytes of JSON, then the tensors' bytes without gaps.
Source: https://github.com/huggingface/safetensors (format description in its README).
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lorasdk.errors import LorasdkError, Problem

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library itself."""
LENGTH_BYTES = 8
_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
    "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I8": 8, "U8": 8,
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file."""

    name: str
    """Its key."""
    dtype: str
    """In the format's spelling, such as ``BF16``."""
    shape: tuple[int, ...]
    """Its dimensions."""
    start: int
    """Offset of its first byte in the file."""
    size: int
    """Its length in bytes."""


def read_stored_tensors(path: Path, *, error: type[LorasdkError]) -> tuple[StoredTensor, ...]:
    """List the tensors of a safetensors file, by offset.

    Raises:
        LorasdkError: of the type `error`, naming the file: it is truncated, or its header lies about sizes.
    """
    try:
        with path.open("rb") as file:
            total = path.stat().st_size
            header, data_start = _read_header(file, total)
        tensors = sorted((_tensor(name, entry, data_start) for name, entry in header.items()), key=lambda t: t.start)
        _require_gapless(tensors, data_start, total)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as cause:
        raise error(_damaged(path, cause)) from cause
    return tuple(tensors)


def _read_header(file: BinaryIO, total: int) -> tuple[dict[str, Any], int]:
    prefix = file.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        raise ValueError(f"the file has only {total} bytes")
    (length,) = struct.unpack("<Q", prefix)
    if length > min(MAX_HEADER_BYTES, total - LENGTH_BYTES):
        raise ValueError(f"the header claims {length} bytes and the file has {total}")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("the header is not a JSON object")
    header.pop("__metadata__", None)
    return header, LENGTH_BYTES + length


def _tensor(name: str, entry: dict[str, Any], data_start: int) -> StoredTensor:
    shape = tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise ValueError(f"tensor {name!r} has a shape or offset that is not a whole number")
    if entry["dtype"] not in _BITS:
        raise ValueError(f"tensor {name!r} has the unknown type {entry['dtype']!r}")
    expected = math.prod(shape) * _BITS[entry["dtype"]] // 8
    if end - start != expected:
        raise ValueError(f"tensor {name!r} needs {expected} bytes and its offsets give it {end - start}")
    return StoredTensor(name, entry["dtype"], shape, data_start + start, end - start)


def _require_gapless(tensors: list[StoredTensor], data_start: int, total: int) -> None:
    position = data_start
    for tensor in tensors:
        if tensor.start != position:
            raise ValueError(f"tensor {tensor.name!r} starts at byte {tensor.start} instead of {position}")
        position += tensor.size
    if position != total:
        raise ValueError(f"its tensors end at byte {position} and the file at byte {total}")


def _damaged(path: Path, cause: Exception) -> Problem:
    return Problem(
        code="file.damaged-safetensors",
        message=f"the file is damaged or truncated: {cause}",
        place=str(path),
        fix="fetch the file again",
    )
