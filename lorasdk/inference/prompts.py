"""What callers may ask: a text, a conversation, or a list of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast, get_args

from lorasdk.contracts import Message, Role
from lorasdk.errors import InferenceError, Problem

Turn: TypeAlias = Message | Mapping[str, str]
Prompt: TypeAlias = str | Sequence[Turn]
"""A text (one user turn), or the turns of a conversation."""
Prompts: TypeAlias = Prompt | Sequence[Prompt]

ROLES = get_args(Role)


def conversations(prompt: Prompts) -> tuple[list[tuple[Message, ...]], bool]:
    """All conversations of a call, and whether only one answer is asked for.

    Raises:
        InferenceError: as `conversation`, or nothing is asked at all.
    """
    if isinstance(prompt, str) or (prompt and all(isinstance(turn, Message | Mapping) for turn in prompt)):
        return [conversation(cast("Prompt", prompt))], True
    if not prompt:
        raise _error(0, "inference.empty-prompt", "nothing is asked (0 prompts)", "a prompt, or a list of prompts")
    return [conversation(one, index=i) for i, one in enumerate(cast("Sequence[Prompt]", prompt))], False


def conversation(prompt: Prompt, *, index: int = 0) -> tuple[Message, ...]:
    """The turns of a prompt.

    Raises:
        InferenceError: it is empty, a turn has an unknown role or no text, or the last turn is the assistant's.
    """
    turns = (Message("user", prompt),) if isinstance(prompt, str) else tuple(_turn(turn, index) for turn in prompt)
    if not turns or not any(turn.content.strip() for turn in turns):
        raise _error(index, "inference.empty-prompt", "the prompt is empty (0 tokens)", "a text of at least one letter")
    if turns[-1].role == "assistant":
        message = "the last turn is the assistant's, so there is nothing to answer"
        raise _error(index, "inference.nothing-to-answer", message, "a conversation that ends with a user or tool turn")
    return turns


def _turn(turn: Turn, index: int) -> Message:
    if isinstance(turn, Message):
        return turn
    content = turn.get("content")
    role: Role | None = next((role for role in ROLES if role == turn.get("role")), None)
    if role is None:
        found = f"a turn has the role {turn.get('role')!r}"
        raise _error(index, "inference.unknown-role", found, ", ".join(ROLES))
    if not isinstance(content, str):
        raise _error(index, "inference.no-content", f"a {role} turn has no text under 'content'", "content: a text")
    return Message(role, content)


def _error(index: int, code: str, message: str, allowed: str) -> InferenceError:
    return InferenceError(
        Problem(code=code, message=message, place=f"prompt {index + 1}", allowed=allowed, fix="change the prompt")
    )
