"""What both kinds of requests have in common: sampling, stops, and what is accepted only where it changes nothing."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def only(*harmless: object) -> AfterValidator:
    """Accept null and values that ask for what happens anyway."""

    def check(value: object) -> object:
        if value is None or value in harmless:
            return value
        allowed = " or ".join(map(repr, harmless)) or "leaving it out"
        raise PydanticCustomError("unsupported", "is not supported with this value; {allowed} is", {"allowed": allowed})

    return AfterValidator(check)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Ignored: TypeAlias = object
"""Labels and hints that clients send along and that change no answer."""
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Texts: TypeAlias = Annotated[list[Text], Field(max_length=16), BeforeValidator(_as_list)]
"""A text, or a list of them."""


class Closed(BaseModel):
    """A mapping without keys that nobody reads."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class StreamOptions(Closed):
    """What a stream tells beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[object, only(False)] = None


class Sampling(Closed):
    """What every request may say."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    stop: Texts | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    # Not OpenAI's; other servers have them too.
    top_k: Annotated[int, Field(ge=-1)] | None = None
    repetition_penalty: float | None = None

    frequency_penalty: Annotated[object, only(0)] = None
    presence_penalty: Annotated[object, only(0)] = None
    logit_bias: Annotated[object, only({})] = None
    user: Ignored = None

    def settings(self) -> dict[str, object]:
        """Changes to a recipe's ``generation`` section, but for the seed and the answer's length."""
        given: dict[str, object] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "repetition_penalty": self.repetition_penalty,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        if self.stop is not None:
            changes["stop"] = tuple(self.stop)
        if self.top_k is not None:
            changes["top_k"] = self.top_k if self.top_k > 0 else None
        return changes

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)
