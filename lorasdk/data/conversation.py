"""Builds conversations from rows' values and says what is wrong with those that cannot be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from reprlib import repr as short_repr
from typing import get_args

from lorasdk.contracts import Message, Role
from lorasdk.data.cells import object_list, optional_text, whole_text
from lorasdk.data.fault import ConversationFaultError

ROLES: tuple[Role, ...] = get_args(Role)
SAME_AS: dict[str, Role] = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "developer": "system",
    "function": "tool",
    "observation": "tool",
}
"""Names that other formats use for the same roles."""


def read_turns(value: object, *, column: str, role_key: str, content_key: str) -> tuple[Message, ...]:
    """Turns out of a list of mappings.

    Raises:
        ConversationFaultError: it is no list, or a turn is no mapping, has an unknown role or no text.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConversationFaultError(
            "data.not-a-conversation",
            f"column {column!r} must hold a list of turns, got {type(value).__name__}",
            found=short_repr(value),
            allowed=f'[{{"{role_key}": "user", "{content_key}": "…"}}, …]',
            fix="store the list itself, not its text",
        )
    return tuple(_turn(turn, i, role_key, content_key) for i, turn in enumerate(value, start=1))


def _turn(turn: object, number: int, role_key: str, content_key: str) -> Message:
    if not isinstance(turn, Mapping):
        raise ConversationFaultError(
            "data.bad-turn", f"turn {number} must be an object, got {type(turn).__name__}", found=short_repr(turn)
        )
    named = turn.get(role_key)
    role = SAME_AS.get(named, named) if isinstance(named, str) else named
    if role not in ROLES:
        raise ConversationFaultError(
            "data.unknown-role",
            f"turn {number} has an unknown role",
            found=short_repr(named),
            allowed=", ".join([*ROLES, *SAME_AS]),
            fix=f"correct {role_key!r}",
        )
    return Message(
        role=role,
        content=_text(turn.get(content_key), number, may_be_null=role == "assistant"),
        tool_calls=object_list(turn.get("tool_calls"), f"'tool_calls' of turn {number}"),
        tool_call_id=optional_text(turn, "tool_call_id") or None,
        name=optional_text(turn, "name") or None,
    )


def _text(value: object, number: int, *, may_be_null: bool) -> str:
    # Null is how an answer that only calls tools is written; `check_turns` refuses it where there are no calls.
    if value is None and may_be_null:
        return ""
    if isinstance(value, list) and value and all(map(_is_text_part, value)):
        value = "".join(part["text"] for part in value)
    if not isinstance(value, str):
        raise ConversationFaultError(
            "data.no-text",
            f"turn {number} has no text",
            found=short_repr(value),
            allowed="a text, or a list of parts of type text",
            fix="images and sounds cannot be trained on; remove the turn or the row",
        )
    return whole_text(value, f"turn {number}")


def _is_text_part(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def check_turns(messages: Sequence[Message]) -> None:
    """Let through what can be trained on: an optional system turn, then user and assistant in turn.

    Raises:
        ConversationFaultError: there is no answer, an answer is empty, or the order makes no sense.
    """
    if not any(message.role == "assistant" for message in messages):
        raise ConversationFaultError("data.no-answer", "there is no assistant turn", allowed="at least one")
    previous: Role | None = None
    for number, message in enumerate(messages, start=1):
        _check_order(message.role, previous, number)
        if message.role == "assistant" and not message.content.strip() and not message.tool_calls:
            raise ConversationFaultError(
                "data.empty-answer", f"the answer in turn {number} is empty", fix="fill or remove the row"
            )
        previous = message.role


def _check_order(role: Role, previous: Role | None, number: int) -> None:
    if role == "system" and previous is not None:
        raise ConversationFaultError(
            "data.role-order", f"turn {number} is a system turn; only the first may be", allowed="system first"
        )
    if role == "assistant" and previous in {None, "system"}:
        raise ConversationFaultError(
            "data.role-order", f"turn {number} answers although nobody asked", allowed="a user turn before it"
        )
    if role == "tool" and previous not in {"assistant", "tool"}:
        raise ConversationFaultError(
            "data.role-order",
            f"turn {number} is a tool's answer that nobody called for",
            allowed="an assistant turn before it",
        )
    if role == previous and role in {"assistant", "user"}:
        raise ConversationFaultError(
            "data.role-order",
            f"turns {number - 1} and {number} are both {role} turns",
            allowed="user and assistant in turn",
        )
