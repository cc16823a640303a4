"""Token rows in one safetensors file: written one after another, read on demand from a memory mapping.

Neither writing nor reading holds all rows as Python objects, so memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, overload

from lorasdk.data.encoding import TokenRow

if TYPE_CHECKING:
    import numpy as np

_ARRAYS = {"starts": "q", "span_starts": "q", "numbers": "q", "ids": "i", "spans": "i"}
"""Arrays of a file in their order, the wide ones first so that all are aligned.

Row k has the tokens ``ids[starts[k]:starts[k + 1]]`` and the spans ``spans[span_starts[k]:span_starts[k + 1]]``, two
numbers each; ``numbers[k]`` is its row number.
"""
_TYPES = {"q": ("I64", "<i8", 8), "i": ("I32", "<i4", 4)}
_FLUSH_AT = 1 << 14
"""Numbers of an array that wait in memory before they are written."""
_SPOOL_BYTES = 1 << 20
_LENGTH_BYTES = 8


class RowWriter:
    """Takes rows one by one and puts them into files without names until all are there."""

    def __init__(self) -> None:
        self._waiting = {name: array(code) for name, code in _ARRAYS.items()}
        opened = ExitStack()
        self._spools = {name: tempfile.SpooledTemporaryFile(_SPOOL_BYTES) for name in _ARRAYS}  # noqa: SIM115 - below
        for spool in self._spools.values():
            opened.enter_context(spool)
        weakref.finalize(self, opened.close).atexit = False  # a run that saves at the program's end still reads
        self._ends = {"starts": 0, "span_starts": 0}
        for name in self._ends:
            self._waiting[name].append(0)
        self.rows = 0

    def append(self, row: TokenRow) -> None:
        """Take one row."""
        flat = [edge for span in row.spans for edge in span]
        self._ends["starts"] += len(row.ids)
        self._ends["span_starts"] += len(flat)
        new: Mapping[str, Sequence[int]] = {
            **{name: (end,) for name, end in self._ends.items()}, "numbers": (row.row,), "ids": row.ids, "spans": flat
        }  # fmt: skip
        for name, numbers in new.items():
            self._waiting[name].extend(numbers)
            if len(self._waiting[name]) >= _FLUSH_AT:
                self._flush(name)
        self.rows += 1

    def write(self, file: IO[bytes], facts: Mapping[str, Any]) -> None:
        """Write all rows as one safetensors file, with `facts` and a digest in its header."""
        header: dict[str, Any] = {}
        position = 0
        for name, code in _ARRAYS.items():
            self._flush(name)
            kind, _, width = _TYPES[code]
            size = self._spools[name].seek(0, os.SEEK_END)
            header[name] = {"dtype": kind, "shape": [size // width], "data_offsets": [position, position + size]}
            position += size
        header["__metadata__"] = {"facts": json.dumps(facts), "sha256": self._digest()}
        written = json.dumps(header).encode()
        written += b" " * (-len(written) % _LENGTH_BYTES)
        file.write(len(written).to_bytes(_LENGTH_BYTES, "little") + written)
        for spool in self._spools.values():
            spool.seek(0)
            shutil.copyfileobj(spool, file)
        file.flush()

    def _flush(self, name: str) -> None:
        self._spools[name].seek(0, os.SEEK_END)
        self._spools[name].write(self._waiting[name].tobytes())
        del self._waiting[name][:]

    def _digest(self) -> str:
        for spool in self._spools.values():
            spool.seek(0)
        return _digest(self._spools.values())


@dataclass(frozen=True)
class TokenStore(Sequence[TokenRow]):
    """Rows of a file that `RowWriter` wrote; each is made when it is asked for."""

    arrays: Mapping[str, np.ndarray]
    """Parts of the mapped file, by name."""
    facts: Mapping[str, Any]
    """What the writer was told about them."""
    sha256: str
    """Of all arrays."""

    @classmethod
    def map(cls, file: IO[bytes]) -> TokenStore:
        """Map an open file and prove that it is whole.

        Raises:
            ValueError: it is not what was written.
        """
        import numpy as np

        try:
            file.seek(0)
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header = json.loads(file.read(min(length, 1 << 20)))
            metadata = header["__metadata__"]
            file.seek(_LENGTH_BYTES + length)
            # Read, not mapped: a mapping that was read through once stays resident as a whole.
            if _digest([file]) != metadata["sha256"]:
                raise ValueError("its content is not what was written")
            data: np.ndarray = np.memmap(file, dtype=np.uint8, mode="r", offset=_LENGTH_BYTES + length)
            arrays = {name: _view(data, header[name], code) for name, code in _ARRAYS.items()}
            return cls(arrays, json.loads(metadata["facts"]), metadata["sha256"])
        except (OSError, LookupError, TypeError, OverflowError) as error:
            raise ValueError(str(error)) from error

    def __len__(self) -> int:
        return len(self.arrays["numbers"])

    @overload
    def __getitem__(self, index: int) -> TokenRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenRow]: ...
    def __getitem__(self, index: int | slice) -> TokenRow | list[TokenRow]:
        numbers = range(len(self))[index]
        return self._row(numbers) if isinstance(numbers, int) else [self._row(number) for number in numbers]

    def __iter__(self) -> Iterator[TokenRow]:
        return map(self._row, range(len(self)))

    def _row(self, index: int) -> TokenRow:
        ids = self._part("ids", "starts", index)
        edges = self._part("spans", "span_starts", index)
        spans = tuple(zip(edges[::2], edges[1::2], strict=True))
        return TokenRow(int(self.arrays["numbers"][index]), tuple(ids), spans)

    def _part(self, name: str, starts: str, index: int) -> list[int]:
        start, end = self.arrays[starts][index : index + 2]
        numbers: list[int] = self.arrays[name][start:end].tolist()
        return numbers


def _digest(files: Iterable[IO[bytes]]) -> str:
    """SHA-256 of what follows in files that are open."""
    digest = hashlib.sha256()
    for file in files:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _view(data: np.ndarray, entry: Mapping[str, Any], code: str) -> np.ndarray:
    start, end = entry["data_offsets"]
    return data[start:end].view(_TYPES[code][1])


def temporary_store(write: Callable[[IO[bytes]], None]) -> TokenStore:
    """Rows in a file without a name, which is gone when the rows are."""
    with tempfile.TemporaryFile() as file:
        write(file)
        return TokenStore.map(file)
