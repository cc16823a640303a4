"""What whoever runs a server may decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lorasdk.errors import InferenceError, Problem

MAX_LOGPROBS = 20
"""Likeliest tokens that may be asked for at each place, as in OpenAI's protocol."""


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Keys, names and bounds of a server.

    Raises:
        InferenceError: a bound is not positive, or a key is empty or cannot stand in a header.
    """

    api_keys: tuple[str, ...] = field(default=(), repr=False)
    """Any of them lets a client ask, as ``Authorization: Bearer KEY``; without any, everybody may."""
    admin_keys: tuple[str, ...] = field(default=(), repr=False)
    """Any of them lets a client load and unload adapters; without any, nobody may."""
    adapters_root: Path | None = None
    """The folder whose adapters may be loaded over HTTP; without it, none."""
    base_id: str | None = None
    """What clients call the untouched base model; the last part of its source when left out."""
    adapter_id: str | None = None
    """What clients call the tuner's own adapter; the recipe's name when left out."""
    max_rows: int = 32
    """Answers that are computed together."""
    max_waiting: int = 256
    """Answers that may wait for their turn; more are refused with 429."""
    queue_seconds: float = 60.0
    """Longest wait for the first word of an answer."""
    answer_seconds: float = 600.0
    """Longest time for all of a request."""
    receive_seconds: float = 30.0
    """Longest time for a request to arrive."""
    stall_seconds: float = 60.0
    """Longest time for which a client may leave a stream unread."""
    max_body_bytes: int = 4_000_000
    """Longest request."""
    max_messages: int = 1_000
    """Most turns of a conversation."""
    max_prompt_tokens: int | None = None
    """Longest prompt; what the model can see when left out."""
    max_answer_tokens: int = 4_096
    """Longest answer that a client may ask for."""
    max_answers: int = 16
    """Most answers of one request: prompts times ``n``."""

    def __post_init__(self) -> None:
        problems = [
            *self._bad_bounds(),
            *_bad_keys("api_keys", self.api_keys),
            *_bad_keys("admin_keys", self.admin_keys),
        ]
        if problems:
            raise InferenceError(*problems)

    def _bad_bounds(self) -> Iterator[Problem]:
        bounds: dict[str, float | None] = {
            "max_rows": self.max_rows,
            "max_waiting": self.max_waiting,
            "queue_seconds": self.queue_seconds,
            "answer_seconds": self.answer_seconds,
            "receive_seconds": self.receive_seconds,
            "stall_seconds": self.stall_seconds,
            "max_body_bytes": self.max_body_bytes,
            "max_messages": self.max_messages,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_answer_tokens": self.max_answer_tokens,
            "max_answers": self.max_answers,
        }
        for name, value in bounds.items():
            if value is not None and not value > 0:
                yield _bad(name, "must be above 0", found=str(value))


def _bad_keys(name: str, keys: tuple[str, ...]) -> Iterator[Problem]:
    if isinstance(keys, str):
        yield _bad(name, "is a list of keys, not one text", allowed='("key", …)')
    elif not all(key and key.isascii() and key.isprintable() and " " not in key for key in keys):
        yield _bad(name, "a key is empty or cannot stand in a header", allowed="printable ASCII without spaces")


def _bad(name: str, message: str, *, found: str = "", allowed: str = "") -> Problem:
    return Problem("serving.bad-option", message, field=name, found=found, allowed=allowed, fix=f"change {name}")
