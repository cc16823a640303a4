"""Events, errors and results as JSON objects and back, for files and other processes.

A record says what it is and how it is written: ``{"event": "StepFinished", "version": 1, "step": 3, …}``. What comes
back is equal to what went in. Floats keep every digit; JSON has no word for those that are no finite number, so they
are the texts ``NaN``, ``Infinity`` and ``-Infinity``. Paths are texts, tuples lists.

Who reads records of a newer release is not disturbed by it: unknown fields are ignored, and an unknown event is None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral
from pathlib import Path
from types import UnionType
from typing import Any, Literal, SupportsFloat, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from lorasdk import errors
from lorasdk.errors import DataError, LorasdkError, Problem
from lorasdk.events import Event
from lorasdk.results import TrainResult

VERSION = 1
"""Of the way records are written; a new field or a new event does not change it."""

Record: TypeAlias = dict[str, Any]
"""A JSON object."""

_EVENTS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
_ERRORS: Mapping[str, type[LorasdkError]] = {
    kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LorasdkError)
}
Read = TypeVar("Read")


def event_record(event: Event) -> Record:
    """Write an event."""
    return {"event": type(event).__name__, "version": VERSION, **_written_fields(event)}


def event_of(record: Record) -> Event | None:
    """Read an event; None when this release does not know it.

    Raises:
        DataError: it is no record of an event.
    """
    kind = _EVENTS.get(_head(record, "event"))
    event: Event | None = None if kind is None else _read(kind, record)
    return event


def error_record(error: LorasdkError) -> Record:
    """Write an error with all its problems; one of a plugin's own type becomes the nearest of ours."""
    kind = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS)
    return {"error": kind, "version": VERSION, "problems": _written(error.problems)}


def error_of(record: Record) -> LorasdkError:
    """Read an error, of the type that was written.

    Raises:
        DataError: it is no record of an error.
    """
    kind = _ERRORS.get(_head(record, "error"), LorasdkError)
    problems = _read(tuple[Problem, ...], record.get("problems"))
    if not problems:
        raise DataError(_unreadable("an error needs a problem"))
    return kind(*problems)


def result_record(result: TrainResult) -> Record:
    """Write what a training gave."""
    return {"result": type(result).__name__, "version": VERSION, **_written_fields(result)}


def result_of(record: Record) -> TrainResult:
    """Read what a training gave.

    Raises:
        DataError: it is no record of a result.
    """
    _head(record, "result")
    return _read(TrainResult, record)


def dataclass_record(value: Any) -> Record:  # noqa: ANN401 - any dataclass
    """Write a frozen dataclass of numbers, texts, paths, tuples, mappings of texts, and other such dataclasses."""
    return {"record": type(value).__name__, "version": VERSION, **_written_fields(value)}


def dataclass_of(kind: type[Read], record: Record) -> Read:
    """Read what `dataclass_record` wrote.

    Raises:
        DataError: it is no record of this kind.
    """
    name = _head(record, "record")
    if name != kind.__name__:
        raise DataError(_unreadable(f"a {kind.__name__} was expected, got {name}"))
    return _read(kind, record)


def record_line(record: Record) -> str:
    """One line of JSON, without its end."""
    # In ASCII, because a text of Python's may hold what UTF-8 cannot: a file's name that is no text, for one.
    return json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def read_line(line: str | bytes) -> Record:
    """Read one line of JSON.

    Raises:
        DataError: it holds no JSON object.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(_unreadable(str(error))) from error
    if not isinstance(record, dict):
        raise DataError(_unreadable(f"a JSON object was expected, got {type(record).__name__}"))
    return record


def _written_fields(value: Any) -> Record:  # noqa: ANN401 - any dataclass
    return {field.name: _written(getattr(value, field.name)) for field in fields(value)}


def _written(value: object) -> Any:  # noqa: ANN401 - JSON
    match value:
        case None | bool() | str():
            return value
        case Integral():
            return int(value)
        case SupportsFloat():
            number = float(value)
            return number if math.isfinite(number) else json.dumps(number)
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _written(item) for key, item in value.items()}
        case tuple() | list():
            return [_written(item) for item in value]
        case _ if is_dataclass(value):
            return _written_fields(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _read(kind: type[Read], value: Any) -> Read:  # noqa: ANN401 - JSON
    try:
        read: Read = _of_kind(kind, value)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(_unreadable(f"{type(error).__name__}: {error}")) from error
    return read


def _of_kind(kind: Any, value: Any) -> Any:  # noqa: ANN401 - a type, and JSON that shall be of it
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_of(kind, value)
    match get_origin(kind) or kind:
        case origin if origin is UnionType:  # something or nothing; there are no others
            return None if value is None else _of_kind(get_args(kind)[0], value)
        case origin if origin is float:
            return float(value)
        case origin if origin is Path:
            return Path(value)
        case origin if origin is tuple:
            return tuple(_of_kind(get_args(kind)[0], item) for item in _exactly(list, value))
        case origin if origin is Mapping:
            return {key: _of_kind(get_args(kind)[1], item) for key, item in value.items()}
        case origin if origin is Literal:
            return _exactly(str, value)
        case origin:
            return _exactly(origin, value)


def _dataclass_of(kind: type[Any], value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the dataclass
    known = get_type_hints(kind)
    return kind(**{name: _of_kind(known[name], item) for name, item in value.items() if name in known})


def _exactly(kind: type[Read], value: object) -> Read:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} was expected, got {type(value).__name__}")
    return value


def _head(record: Record, key: str) -> str:
    name = record.get(key)
    if not isinstance(name, str):
        raise DataError(_unreadable(f"the key {key!r} is missing"))
    return name


def _unreadable(why: str) -> Problem:
    return Problem(
        code="record.unreadable",
        message=f"this is no record as lorasdk writes it: {why}",
        allowed="a JSON object as lorasdk writes it",
        fix="leave the line out; a process that was killed may have written half of one",
    )
