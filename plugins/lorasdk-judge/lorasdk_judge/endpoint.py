"""Speaks to the endpoint through the ``openai`` client, which brings the protocol and the retries.

The client would take keys, addresses, headers and proxies from the environment. Here it is given all of them, and its
HTTP client neither trusts the environment nor sends a header that is not in `SENT`: the recipe alone says what is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lorasdk import InferenceError
from lorasdk_judge import refusals
from lorasdk_judge.handshakes import close_broken_handshake
from lorasdk_judge.options import JudgeOptions
from lorasdk_judge.reply import Reply
from lorasdk_judge.spending import Spending
from lorasdk_judge.verdict import verdict_schema

if TYPE_CHECKING:
    from httpx2 import Request
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.shared_params import ResponseFormatJSONSchema

SENT = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-stainless-raw-response",  # how the client asks itself for the raw reply: it looks at what was sent
    }
)
"""Headers that leave this machine, beside the key."""

LONGEST_WAIT = 120.0
"""Seconds that the client waits between two attempts at most, whatever ``Retry-After`` says."""


@dataclass(frozen=True)
class Endpoint:
    """An open connection to a judge."""

    client: AsyncOpenAI
    options: JudgeOptions
    spending: Spending
    place: str
    """Where the recipe names the evaluator."""

    async def ask(self, messages: Sequence[ChatCompletionMessageParam], *, row: int, structured: bool) -> Reply:
        """Ask for a verdict.

        Args:
            messages: the conversation so far.
            row: the example's row number, for messages to the user.
            structured: have the endpoint enforce the verdict's form.

        Raises:
            InferenceError: the endpoint cannot be reached or gives no chat completion, or `max_cost` is reached.
        """
        if self.spending.exhausted:
            raise InferenceError(refusals.too_dear(self.options, str(self.spending), self.place))
        content = await self._sent(messages, row=row, structured=structured)
        try:
            reply = Reply.model_validate_json(content)
        except ValidationError as error:
            raise InferenceError(refusals.other_protocol(self.options, row, self.place)) from error
        self._count(reply)
        return reply

    async def _sent(self, messages: Sequence[ChatCompletionMessageParam], *, row: int, structured: bool) -> bytes:
        from openai import OpenAIError, omit

        options = self.options
        # The client's timeout is about silence. This one ends a reply that trickles in without end.
        longest = options.attempts * (options.timeout + LONGEST_WAIT)
        try:
            async with asyncio.timeout(longest):
                raw = await self.client.chat.completions.with_raw_response.create(
                    model=options.model,
                    messages=messages,
                    temperature=omit if options.temperature is None else options.temperature,
                    seed=omit if options.seed is None else options.seed,
                    response_format=_response_format(options) if structured else omit,
                )
                return raw.content
        except (OpenAIError, TimeoutError) as error:
            _hide_key(error, options)
            raise InferenceError(refusals.failed_request(error, options, row, self.place)) from error

    def _count(self, reply: Reply) -> None:
        if reply.usage is not None:
            self.spending.count(reply.usage.prompt_tokens, reply.usage.completion_tokens)
            return
        self.spending.uncounted += 1
        if self.options.max_cost is not None:
            raise InferenceError(refusals.cost_unknown(self.options, self.place))


@asynccontextmanager
async def open_endpoint(options: JudgeOptions, spending: Spending, place: str) -> AsyncIterator[Endpoint]:
    """Open the client for the block; it is closed afterwards, also when the block is cancelled."""
    from anyio import CancelScope
    from httpx2 import AsyncClient, Limits
    from openai import AsyncOpenAI

    client = AsyncOpenAI(
        api_key="unused",  # without one the client would look into the environment; this one is not sent
        base_url=options.base_url,
        timeout=options.timeout,
        max_retries=options.attempts - 1,
        http_client=AsyncClient(
            trust_env=False,
            proxy=options.proxy.get_secret_value() if options.proxy else None,
            limits=Limits(max_connections=options.max_parallel),
            event_hooks={"request": [_address(options, spending)]},
        ),
    )
    try:
        yield Endpoint(client, options, spending, place)
    finally:
        with CancelScope(shield=True):
            await client.close()


def _address(options: JudgeOptions, spending: Spending) -> Callable[[Request], Awaitable[None]]:
    """Make what prepares each request: it is counted, and has no header but `SENT` and the recipe's key."""

    # The key is in no variable: some tools show the variables of a traceback's frames.
    async def address(request: Request) -> None:
        spending.requests += 1
        request.extensions["trace"] = close_broken_handshake()
        for name in set(request.headers) - SENT:
            del request.headers[name]
        if options.api_key is not None:
            request.headers["Authorization"] = f"Bearer {options.api_key.get_secret_value()}"

    return address


def _response_format(options: JudgeOptions) -> ResponseFormatJSONSchema:
    return {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": verdict_schema(options)},
    }


def _hide_key(error: BaseException, options: JudgeOptions) -> None:
    """Blot out the key where an endpoint quoted it in its own words, which a traceback would show."""
    link: BaseException | None = error
    while link is not None and options.api_key is not None:
        key = options.api_key.get_secret_value()
        link.args = tuple(arg.replace(key, "***") if isinstance(arg, str) else arg for arg in link.args)
        link = link.__cause__
