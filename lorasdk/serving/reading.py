"""Turns a request's bytes into what a scheduler is asked, or into all that is wrong with them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lorasdk.asking import AdapterChoice, Ask
from lorasdk.contracts import Message
from lorasdk.errors import InferenceError, Problem
from lorasdk.serving.chat_request import ChatRequest
from lorasdk.serving.completion_request import CompletionRequest
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.request_fields import Sampling

SEEDS = 2**63
Model = TypeVar("Model", bound=BaseModel)
Choose = Callable[[str], AdapterChoice]
"""Tells who answers under a model's id."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one HTTP request asks for."""

    model: str
    """As the client calls it."""
    asks: tuple[Ask, ...]
    """One for each answer; those to the same prompt stand together."""
    prompts: tuple[str, ...]
    """What each answer's text begins with: the prompts that shall be echoed."""
    answers_per_prompt: int
    stream: bool
    include_usage: bool
    """Whether a stream ends with the number of tokens."""


def parsed(model: type[Model], body: bytes) -> Model:
    """A body as it should be.

    Raises:
        InferenceError: it is no JSON, or lacks, misspells or overdoes something; all of it is told.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InferenceError(*map(_problem, error.errors(include_url=False, include_input=False))) from None


def chat_order(body: bytes, choose: Choose, options: ServingOptions, default_tokens: int) -> Order:
    """The order in a chat request.

    Raises:
        InferenceError: it is malformed or exceeds the server's bounds.
    """
    request = parsed(ChatRequest, body)
    if len(request.messages) > options.max_messages:
        raise InferenceError(_too_many("messages", len(request.messages), options.max_messages))
    if request.top_logprobs is not None and not request.logprobs:
        raise InferenceError(Problem("serving.bad-parameter", "needs logprobs: true", field="top_logprobs"))
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        message = "differs from max_completion_tokens; send one of them"
        raise InferenceError(Problem("serving.bad-parameter", message, field="max_tokens"))
    turns = tuple(turn.message() for turn in request.messages)
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    settings = _settings(request, next(iter(limits), None), options, default_tokens)
    asks = _asks(request, [turns], choose, settings, logprobs=logprobs, tools=request.shown_tools, options=options)
    return _order(request, asks, ("",) * len(asks))


def completion_order(body: bytes, choose: Choose, options: ServingOptions, default_tokens: int) -> Order:
    """The order in a request for completions.

    Raises:
        InferenceError: it is malformed or exceeds the server's bounds.
    """
    request = parsed(CompletionRequest, body)
    if request.echo and request.logprobs is not None:
        message = "is not supported together with logprobs: nothing is known of the prompt's tokens"
        raise InferenceError(Problem("serving.unsupported", message, field="echo"))
    settings = _settings(request, request.max_tokens, options, default_tokens)
    asks = _asks(request, request.prompt, choose, settings, logprobs=request.logprobs, tools=(), options=options)
    return _order(request, asks, tuple(str(ask.prompt) if request.echo else "" for ask in asks))


def _order(request: Sampling, asks: tuple[Ask, ...], prompts: tuple[str, ...]) -> Order:
    if request.stream_options is not None and not request.stream:
        raise InferenceError(Problem("serving.bad-parameter", "needs stream: true", field="stream_options"))
    return Order(request.model, asks, prompts, request.n or 1, bool(request.stream), request.include_usage)


def _settings(
    request: Sampling, max_tokens: int | None, options: ServingOptions, default_tokens: int
) -> Mapping[str, object]:
    limit = options.max_answer_tokens
    if max_tokens is not None and max_tokens > limit:
        raise InferenceError(_too_many("max_tokens", max_tokens, limit))
    return {**request.settings(), "max_new_tokens": max_tokens or min(default_tokens, limit)}


def _asks(
    request: Sampling,
    prompts: list[tuple[Message, ...]] | list[str],
    choose: Choose,
    settings: Mapping[str, object],
    *,
    logprobs: int | None,
    tools: tuple[Mapping[str, object], ...],
    options: ServingOptions,
) -> tuple[Ask, ...]:
    count = request.n or 1
    if count * len(prompts) > options.max_answers:
        raise InferenceError(_too_many("n" if count > 1 else "prompt", count * len(prompts), options.max_answers))
    # Without a seed, who asks again wants another answer; with one, the answers of one request still differ.
    first = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    adapter = choose(request.model)
    return tuple(
        Ask(prompt, adapter, {**settings, "seed": (first + number) % SEEDS}, tools, logprobs)
        for prompt in prompts
        for number in range(count)
    )


def _too_many(field: str, found: int, limit: int) -> Problem:
    return Problem(
        "serving.too-much", f"asks for more than this server gives: {found}", field=field, allowed=f"at most {limit}"
    )


MAX_FIELD = 100
"""Characters of a parameter's name that are told: the name may be the client's own invention."""
CODES = {
    "json_invalid": "serving.bad-json",
    "missing": "serving.missing-parameter",
    "extra_forbidden": "serving.unknown-parameter",
    "unsupported": "serving.unsupported",
}
"""Of pydantic's findings; all others are bad values."""


def _problem(detail: ErrorDetails) -> Problem:
    field = "".join(_step(step) for step in detail["loc"]).removeprefix(".")[:MAX_FIELD]
    code = CODES.get(detail["type"], "serving.bad-parameter")
    message = "is not a parameter here" if code == "serving.unknown-parameter" else detail["msg"]
    return Problem(code, f"{field}: {message}" if field else message, field=field)


def _step(step: int | str) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"
