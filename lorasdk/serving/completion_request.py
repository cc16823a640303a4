"""The body of ``POST /v1/completions``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from lorasdk.serving.request_fields import Sampling, Text, only


def _as_texts(value: object) -> object:
    if isinstance(value, list) and value and not all(isinstance(text, str) for text in value):
        raise PydanticCustomError("unsupported", "prompts of token numbers are not supported; send their text")
    return [value] if isinstance(value, str) else value


class CompletionRequest(Sampling):
    """Texts to go on with."""

    prompt: Annotated[list[Text], Field(min_length=1), BeforeValidator(_as_texts)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    best_of: Annotated[object, only(1)] = None
    suffix: Annotated[object, only("")] = None
