"""Examples in a file without a name, so that memory does not grow with their number; a few stay in memory."""

from __future__ import annotations

import json
import tempfile
import threading
import weakref
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, overload

from lorasdk.contracts import Example, Message
from lorasdk.errors import Problem, ResourceError

IN_MEMORY = 4096
"""Examples that are not worth a file."""


class ExampleStore(Sequence[Example]):
    """Examples in the order they were appended; each is read when it is asked for, from any thread."""

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        self._few: list[Example] = []
        self._most = in_memory
        self._file: IO[bytes] | None = None
        self._ends = array("q", [0])
        self._reading = threading.Lock()

    def append(self, example: Example) -> None:
        """Take one more.

        Raises:
            ResourceError: the disk has no room.
        """
        if self._file is None and len(self._few) < self._most:
            self._few.append(example)
            return
        try:
            if self._file is None:
                self._file = self._moved()
            self._write(self._file, example)
        except OSError as error:
            raise ResourceError(no_room(error)) from error

    def __len__(self) -> int:
        return len(self._few) if self._file is None else len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, index: int | slice) -> Example | tuple[Example, ...]:
        numbers = range(len(self))[index]
        return self._read(numbers) if isinstance(numbers, int) else tuple(self._read(number) for number in numbers)

    def _moved(self) -> IO[bytes]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the examples are
        weakref.finalize(self, file.close).atexit = False  # a run that saves at the program's end still reads
        for example in self._few:
            self._write(file, example)
        self._few = []
        return file

    def _write(self, file: IO[bytes], example: Example) -> None:
        turns = [[m.role, m.content, list(m.tool_calls), m.tool_call_id, m.name] for m in example.messages]
        written = json.dumps([example.row, turns, example.text, list(example.tools)], default=str).encode()
        with self._reading:
            file.seek(self._ends[-1])
            file.write(written)
        self._ends.append(self._ends[-1] + len(written))

    def _read(self, number: int) -> Example:
        if self._file is None:
            return self._few[number]
        start, end = self._ends[number], self._ends[number + 1]
        with self._reading:
            self._file.seek(start)
            written = self._file.read(end - start)
        row, turns, text, tools = json.loads(written)
        return Example(row, tuple(map(_message, turns)), text, tuple(tools))


@dataclass(frozen=True)
class Selection(Sequence[Example]):
    """Some of many examples."""

    many: Sequence[Example]
    """Where they are."""
    places: Sequence[int]
    """Which, in order, from 0."""

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, index: int | slice) -> Example | tuple[Example, ...]:
        if isinstance(index, slice):
            return tuple(self.many[place] for place in self.places[index])
        return self.many[self.places[index]]


def _message(turn: list[Any]) -> Message:
    role, content, calls, call_id, name = turn
    tool_calls: tuple[Mapping[str, Any], ...] = tuple(calls)
    return Message(role, content, tool_calls, call_id, name)


def no_room(error: OSError) -> Problem:
    """What to tell when rows do not fit on disk."""
    return Problem(
        code="disk.rows",
        message=f"the rows cannot be put on disk while they are read: {error}",
        place=tempfile.gettempdir(),
        fix="free disk space, point TMPDIR elsewhere, or set data.….max_rows",
    )
