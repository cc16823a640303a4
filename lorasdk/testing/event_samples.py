"""One of each event, and one that no release knows yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from lorasdk.events import Event


@dataclass(frozen=True, slots=True)
class EventOfTheFuture:
    """What a later release might announce; an observer must let it pass."""

    step: int = 1


def one_of_each() -> Iterator[Any]:
    """Every kind of event with plausible values."""
    for kind in get_args(Event):
        hints = get_type_hints(kind)
        yield kind(**{field.name: _value(hints[field.name], field.name) for field in fields(kind)})
    yield EventOfTheFuture()


def _value(kind: Any, name: str) -> Any:  # noqa: ANN401 - any field's
    match get_origin(kind) or kind:
        case origin if origin is tuple:
            return ("q_proj",)
        case origin if origin is Mapping:
            return {"loss": 1.0}
        case origin if origin is Path:
            return Path("no-such-folder") / name
        case origin if origin is str:
            return name
        case origin:
            return origin(1)
