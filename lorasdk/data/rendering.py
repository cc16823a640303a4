"""Renders a conversation to text with its chat template, control tokens in the content marked.

It knows templates and messages; it knows nothing of tokens or masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from lorasdk.contracts import Message
from lorasdk.data.shield import MARK, Shield
from lorasdk.data.template import ChatTemplate
from lorasdk.errors import Problem

if TYPE_CHECKING:
    from jinja2.exceptions import TemplateError
    from transformers import PreTrainedTokenizerBase

    from lorasdk.data.template_sandbox import TemplateSandbox

Tools = Sequence[Mapping[str, Any]]


class RowFaultError(Exception):
    """A row cannot be encoded; carries its Problem without the place, which the caller knows."""

    def __init__(self, code: str, message: str, fix: str, found: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(code=code, message=message, found=found, fix=fix)


@dataclass(frozen=True)
class Renderer:
    """A chat template together with the tokenizer whose control tokens it writes."""

    tokenizer: PreTrainedTokenizerBase
    template: ChatTemplate
    shield: Shield
    sandbox: TemplateSandbox

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> Renderer:
        """Compile the template.

        Raises:
            RowFaultError: it is no template, or a larger one than any model has.
        """
        from jinja2.exceptions import TemplateError

        from lorasdk.data.template_sandbox import TemplateSandbox

        try:
            sandbox = TemplateSandbox(template.source)
        except TemplateError as error:
            raise _fault(template, error) from error
        return cls(tokenizer, template, Shield.of(tokenizer, template.source), sandbox)

    def render(self, messages: Sequence[Message], tools: Tools, *, generate: bool) -> str:
        """Text of `messages`, with the generation prompt if `generate`.

        Raises:
            RowFaultError: the template refuses the conversation, has no place for its tools, or costs too much.
        """
        from jinja2.exceptions import TemplateError

        self._refuse_what_would_vanish(messages, tools)
        variables = {
            **self.tokenizer.special_tokens_map,
            "messages": [self._plain(message) for message in messages],
            "tools": self.shield.mark(tools, "system") or None,
            "documents": None,
            "add_generation_prompt": generate,
        }
        try:
            return self.sandbox.render({name: _plain_value(value) for name, value in variables.items()})
        except TemplateError as error:
            raise _fault(self.template, error) from error

    def _refuse_what_would_vanish(self, messages: Sequence[Message], tools: Tools) -> None:
        """Templates ignore what they do not know, so tool calls would be lost without a word."""
        calls = any(message.tool_calls for message in messages)
        if (tools and "tools" not in self.template.source) or (calls and "tool_calls" not in self.template.source):
            raise RowFaultError(
                "template.no-tools",
                f"the chat template ({self.template.origin}) has no place for tool calls",
                "use a base model whose template supports tools, or a .jinja file that does",
            )
        if any(MARK in message.content for message in messages):
            raise RowFaultError(
                "data.noncharacter",
                "the text contains the Unicode noncharacter U+FDD0, which is not meant for interchange",
                "remove the character from the row",
            )

    def _plain(self, message: Message) -> dict[str, Any]:
        """The message as templates expect it, with control tokens marked."""
        plain: dict[str, Any] = {"role": message.role, "content": self.shield.mark(message.content, message.role)}
        if message.tool_calls:
            plain["tool_calls"] = self.shield.mark(message.tool_calls, message.role)
        for key, value in (("tool_call_id", message.tool_call_id), ("name", message.name)):
            if value is not None:
                plain[key] = self.shield.mark(value, message.role)
        return plain


def _plain_value(value: object) -> object:
    """A copy of what JSON has; of anything else its type's name, since its methods could do anything."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {_plain_value(key): _plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else f"<{type(value).__name__}>"


def _fault(template: ChatTemplate, error: TemplateError) -> RowFaultError:
    from lorasdk.data.template_budget import TemplateBoundError

    if isinstance(error, TemplateBoundError):
        return RowFaultError(
            "template.too-costly",
            f"the chat template ({template.origin}) was stopped: {error}",
            "name another template in base_model.chat_template; no real one needs as much",
        )
    return RowFaultError(
        "template.refused",
        f"the chat template ({template.origin}) refuses the conversation: {error}",
        "change the conversation or name another template in base_model.chat_template",
    )
