"""The body of ``POST /v1/chat/completions``."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from lorasdk.contracts import Message, Role
from lorasdk.serving.request_fields import Closed, Ignored, Sampling, only

ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def _joined(value: object) -> object:
    """The text of parts of type text; anything else as it is, for the field's type to judge."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        raise PydanticCustomError("unsupported", "only content parts of type text are supported")
    if not all(part.keys() == {"type", "text"} and isinstance(part["text"], str) for part in value):
        raise PydanticCustomError("text_part", 'a part of type text is {{"type": "text", "text": "…"}}')
    return "".join(part["text"] for part in value)


def _parsed(value: object) -> object:
    """Arguments of a call; templates want the object, the protocol has its text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise PydanticCustomError("arguments", "is not the text of a JSON object") from error
    return value


class CalledFunction(Closed):
    """What an earlier answer called."""

    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_parsed)]


class ToolCall(Closed):
    """A call in an earlier answer."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Turn(Closed):
    """One message."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Annotated[str | None, BeforeValidator(_joined)] = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: Annotated[object, only()] = None
    audio: Annotated[object, only()] = None
    function_call: Annotated[object, only()] = None
    annotations: Annotated[object, only([])] = None

    @model_validator(mode="after")
    def _says_something(self) -> Turn:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise PydanticCustomError("no_content", "has no content")
        if self.tool_calls and self.role != "assistant":
            raise PydanticCustomError("foreign_calls", "only an assistant's message has tool_calls")
        return self

    def message(self) -> Message:
        """The same for a scheduler."""
        calls = tuple(call.model_dump() for call in self.tool_calls or ())
        return Message(ROLES[self.role], self.content or "", calls, self.tool_call_id, self.name)


class DescribedFunction(Closed):
    """What a tool does."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Annotated[object, only(False)] = None


class Tool(Closed):
    """A tool that the template shows; calls come back as the answer's text."""

    type: Literal["function"]
    function: DescribedFunction


class ChatRequest(Sampling):
    """A conversation to answer."""

    messages: Annotated[list[Turn], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Annotated[object, only("auto", "none")] = None

    response_format: Annotated[object, only({"type": "text"})] = None
    modalities: Annotated[object, only(["text"])] = None
    parallel_tool_calls: Annotated[object, only(True)] = None
    service_tier: Annotated[object, only("auto", "default")] = None
    store: Annotated[object, only(False)] = None
    audio: Annotated[object, only()] = None
    function_call: Annotated[object, only("none")] = None
    functions: Annotated[object, only([])] = None
    moderation: Annotated[object, only()] = None
    prediction: Annotated[object, only()] = None
    reasoning_effort: Annotated[object, only("none")] = None
    verbosity: Annotated[object, only("medium")] = None
    web_search_options: Annotated[object, only()] = None

    metadata: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_options: Ignored = None
    prompt_cache_retention: Ignored = None
    safety_identifier: Ignored = None

    @property
    def shown_tools(self) -> tuple[dict[str, Any], ...]:
        """Tools that the template is given."""
        if self.tool_choice == "none":
            return ()
        return tuple(tool.model_dump(exclude_unset=True) for tool in self.tools or ())
