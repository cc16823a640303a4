"""What is asked of a scheduler, and what it tells: the plain types between whoever serves and whatever computes.

A scheduler answers requests for any mix of adapters together, as they arrive. Light; nothing here computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from lorasdk.contracts import Message
from lorasdk.errors import LorasdkError
from lorasdk.recipe.schema import GenerationSection
from lorasdk.results import Completion

AdapterChoice: TypeAlias = str | bool
"""A name of the adapter set, True for the tuner's own adapter, False for the untouched base model."""


class Resident(Protocol):
    """The matrices of one adapter in memory; what they are is the affair of whoever computes with them."""

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        ...

    @property
    def rank(self) -> int:
        """The largest rank of its matrices."""
        ...


Voice: TypeAlias = Resident | bool
"""Who answers: an adapter that lies beside the model, True for the one on the model, False for the model without."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for one answer."""

    prompt: tuple[Message, ...] | str
    """A conversation that the chat template renders, or a text that the model goes on with as it stands."""
    adapter: AdapterChoice = True
    """Who answers."""
    generation: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Changes to the recipe's ``generation`` section, such as ``{"temperature": 0.7}``."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """JSON-schema descriptions of tools that the template may show; for conversations."""
    logprobs: int | None = None
    """How many of the likeliest tokens to tell at each place; 0 tells only of the chosen one, None of none."""


@dataclass(frozen=True, slots=True)
class TokenChance:
    """A token and how likely it was."""

    text: str
    """The token alone; broken letters read U+FFFD."""
    raw: bytes
    """Its bytes."""
    log_probability: float
    """ln p before temperature and cuts, in nats."""


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """One token of an answer."""

    token: TokenChance
    """What was chosen."""
    likeliest: tuple[TokenChance, ...]
    """As many as were asked for, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more of an answer."""

    text: str
    """New text, which no later token can change; may be empty when only `tokens` are told."""
    tokens: tuple[ChosenToken, ...] = ()
    """The tokens behind it, when log-probabilities were asked for."""


Update: TypeAlias = Piece | Completion | LorasdkError
"""Pieces in order, then exactly one `Completion` or error."""
Tell: TypeAlias = Callable[[Update], None]
"""Hears the updates of one request, in the scheduler's thread: it must return at once."""


@dataclass(frozen=True, slots=True)
class SchedulerLoad:
    """What a scheduler is doing, and has done since it was opened."""

    waiting: int
    """Requests in the queue."""
    running: int
    """Requests that are being answered."""
    max_waiting: int
    """Length of the queue at which more are refused."""
    max_rows: int
    """Requests that are answered together at most."""
    finished: int
    """Requests answered."""
    cancelled: int
    """Requests that nobody wanted any more."""
    failed: int
    """Requests that ended with an error."""
    prompt_tokens: int
    """Prompt tokens of all requests that were begun."""
    completion_tokens: int
    """Tokens produced."""


@dataclass(frozen=True)
class SchedulerOrder:
    """One scheduler that is wanted."""

    settings: Callable[[Ask], GenerationSection]
    """The settings of a request; raises for bad ones."""
    voice: Callable[[AdapterChoice], Voice]
    """Who a request means; raises for a name that stands for nothing."""
    max_rows: int
    """Requests that are answered together."""
    max_waiting: int
    """Requests in the queue; more are refused."""


class Ticket(Protocol):
    """A request that was taken in."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        ...

    def cancel(self) -> None:
        """End the work at the next token; the last update is then an error with the code ``inference.stopped``."""
        ...


class Scheduler(Protocol):
    """Answers requests together as they arrive, in one thread of its own; safe to use from any thread."""

    @property
    def load(self) -> SchedulerLoad:
        """What it is doing."""
        ...

    @property
    def open(self) -> bool:
        """Whether it takes requests in."""
        ...

    def submit(self, ask: Ask, tell: Tell) -> Ticket:
        """Take in a request; `tell` hears what comes of it.

        Raises:
            InferenceError: ``inference.queue-full``, ``inference.closed``, ``adapter.unknown``, a bad setting, an empty
                prompt or one that is too long.
            DataError: the chat template refuses the conversation.
        """
        ...

    def close(self, *, drain_seconds: float = 0.0) -> None:
        """Take nothing more in, finish what is running for so long, cancel the rest, and end the thread."""
        ...
