"""The part of a chat completion that a verdict needs, checked: what speaks another protocol is not read as one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Tokens = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Said(_Part):
    """The judge's message."""

    content: str | None = None
    refusal: str | None = None


class Choice(_Part):
    """One of the endpoint's choices; only the first is read."""

    message: Said
    finish_reason: str | None = None


class Usage(_Part):
    """The endpoint's count of tokens."""

    prompt_tokens: Tokens
    completion_tokens: Tokens


class Reply(_Part):
    """A chat completion."""

    choices: Annotated[tuple[Choice, ...], Field(min_length=1)]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """What the judge said; empty when it said nothing."""
        return self.choices[0].message.content or ""

    @property
    def refusal(self) -> str:
        """Why the judge says nothing on this case; empty when it does not refuse."""
        first = self.choices[0]
        if first.message.refusal:
            return first.message.refusal
        return "the endpoint's content filter withheld the reply" if first.finish_reason == "content_filter" else ""

    @property
    def cut_off(self) -> bool:
        """Whether the reply was ended for its length."""
        return self.choices[0].finish_reason == "length"
