"""What both kinds of answers have in common on the wire."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from lorasdk.asking import ChosenToken, Piece
from lorasdk.results import Completion

Json: TypeAlias = Mapping[str, Any]
END = b"data: [DONE]\n\n"
"""The last event of a stream."""


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of one response begin with."""

    id: str
    model: str
    fingerprint: str
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def new(cls, prefix: str, model: str, fingerprint: str) -> Head:
        """A head with an id that nobody else has."""
        return cls(f"{prefix}-{uuid.uuid4().hex}", model, fingerprint)

    def over(self, kind: str, choices: Sequence[Json]) -> dict[str, Any]:
        """A response or a chunk of one."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": list(choices),
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer as a whole."""

    completion: Completion
    tokens: tuple[ChosenToken, ...]
    """Empty when nobody asked for log-probabilities."""


class Writer(Protocol):
    """Writes one response, whole or in chunks."""

    @property
    def head(self) -> Head:
        """What all parts begin with."""
        ...

    @property
    def kind(self) -> str:
        """``object`` of a whole response."""
        ...

    @property
    def chunk_kind(self) -> str:
        """``object`` of a chunk."""
        ...

    def whole(self, index: int, answered: Answered) -> Json:
        """A choice of a whole response."""
        ...

    def first(self, index: int) -> Json | None:
        """A choice before the first piece; None when there is nothing to say."""
        ...

    def piece(self, index: int, piece: Piece) -> Json:
        """A choice with some more of an answer."""
        ...

    def last(self, index: int, completion: Completion) -> Json:
        """A choice that says why its answer ended."""
        ...


def usage(completions: Sequence[Completion], answers_per_prompt: int) -> Json:
    """Tokens of a whole request; a prompt with several answers counts once."""
    prompt = sum(completion.prompt_tokens for completion in completions[::answers_per_prompt])
    completion = sum(completion.completion_tokens for completion in completions)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
