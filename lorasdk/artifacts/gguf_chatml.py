"""Tells whether a chat template is ChatML, by what it renders, not by how it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasdk.contracts import Message
from lorasdk.data.rendering import Renderer, RowFaultError
from lorasdk.data.template import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

START, END = "<|im_start|>", "<|im_end|>"
PROBES = (
    (Message("system", "one"), Message("user", " two\n")),
    (Message("user", "one"), Message("assistant", "two"), Message("user", "three")),
    (Message("system", "one"), Message("user", "two"), Message("assistant", "three"), Message("user", "four")),
)
"""Conversations whose rendering tells a template from ChatML."""


def chatml_system(tokenizer: PreTrainedTokenizerBase, chat_template: str | None) -> str | None:
    """The system prompt that a template writes where a conversation has none, if it is ChatML otherwise.

    Returns:
        Empty when it writes none; None when the template is not ChatML.
    """
    if not chat_template:
        return None
    try:
        renderer = Renderer.of(tokenizer, ChatTemplate(chat_template, "tokenizer"))
        system = _default_system(renderer.render([Message("user", "one")], (), generate=True))
        if system is None:
            return None
        matches = all(renderer.render(probe, (), generate=True) == _chatml(probe, system) for probe in PROBES)
    except RowFaultError:
        return None
    return system if matches else None


def _default_system(rendered: str) -> str | None:
    tail = _chatml([Message("user", "one")], "")
    if not rendered.endswith(tail):
        return None
    head = rendered.removesuffix(tail)
    before, after = f"{START}system\n", f"{END}\n"
    if not head:
        return ""
    whole = head.startswith(before) and head.endswith(after) and '"""' not in head
    return head.removeprefix(before).removesuffix(after) if whole else None


def _chatml(messages: Sequence[Message], system: str) -> str:
    default = [Message("system", system)] if system and messages[0].role != "system" else []
    turns = [f"{START}{message.role}\n{message.content}{END}\n" for message in (*default, *messages)]
    return "".join(turns) + f"{START}assistant\n"
