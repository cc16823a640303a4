"""The Protocols and plain types that join the rooms, and that plugins fulfil.

Nothing here inherits: an object is a `DataLoader` because it has its attributes, not because it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

    from lorasdk.errors import Problem
    from lorasdk.results import AnswerScore, Completion

Row: TypeAlias = Mapping[str, object]
"""One line of a source: column name to value."""

VALIDATION_METRICS: Mapping[str, bool] = MappingProxyType({"loss": False, "perplexity": False, "token_accuracy": True})
"""Metrics that every validation has; whether higher is better."""

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    content: str
    """What is said; always treated as text, never as control tokens."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """OpenAI-style calls an assistant makes."""
    tool_call_id: str | None = None
    """For a ``tool`` turn: which call it answers."""
    name: str | None = None
    """For a ``tool`` turn: which tool answers."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training item: a conversation, or plain text."""

    row: int
    """Row number in its source, from 1, for messages to the user."""
    messages: tuple[Message, ...] = ()
    """The turns; empty when `text` is set."""
    text: str | None = None
    """Plain text that is trained on as a whole."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """JSON-schema descriptions of the tools the assistant may call."""

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All turns before the last assistant turn: what a predictor is given."""
        return self.messages[: self._last_answer]

    @property
    def reference(self) -> str:
        """The last assistant turn's content: what a good answer says."""
        return self.messages[self._last_answer].content

    @property
    def _last_answer(self) -> int:
        return max(i for i, message in enumerate(self.messages) if message.role == "assistant")


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What a loader may know about the run it loads for."""

    base_dir: Path
    """Relative paths start here: the recipe's folder."""
    place: str
    """Where the recipe names the source, ``file:line:column``; empty when it was built in code."""
    split: str
    """``train``, ``validation`` or ``test``."""
    bad_row: Callable[[Problem], None]
    """Report a row that cannot be read and go on: it is skipped or raised as the recipe's ``on_bad_row`` says."""


class DataLoader(Protocol):
    """Gives rows. Registered under `name`, which a recipe writes as ``loader:``."""

    name: str
    """What a recipe calls it."""
    summary: str
    """One line for listings."""

    @property
    def Options(self) -> type[BaseModel]:  # noqa: N802 - a class, usually a plain class attribute
        """Closed pydantic model of the keys a recipe may give it."""
        ...

    def check(self, options: Any, context: LoadContext) -> Sequence[Problem]:  # noqa: ANN401 - the plugin owns the type
        """Say cheaply, without reading rows, what would make `load` fail (a missing file); empty when nothing."""
        ...

    def load(self, options: Any, context: LoadContext) -> Iterable[Row]:  # noqa: ANN401
        """Yield rows in a stable order; raise `DataError` when the source as a whole cannot be read."""
        ...


class Predictor(Protocol):
    """Answers prompts with one model: the base, or the base with an adapter."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each prompt with the recipe's generation settings, in the given order."""
        ...

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        """Tell how likely the model finds each answer after the prompt at the same place, in the given order.

        Prompts that several answers share are computed once; so is what prompts begin with.
        """
        ...


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What an evaluator may know about the work it scores for."""

    base_dir: Path
    """Relative paths start here: the recipe's folder."""
    place: str
    """Where the recipe names the evaluator, ``file:line:column``; empty when it was built in code."""
    label: str
    """Whose answers are scored: ``base``, ``tuned``, or ``validation`` while a training runs."""
    notify: Callable[[str, str], None]
    """Announce a notice: stable code, then one sentence."""
    check_stop: Callable[[], None]
    """Call it between slow steps; it raises when the host wants the work to end, which must not be caught."""


class Evaluator(Protocol):
    """Scores a predictor on examples. Registered under `name`, which a recipe lists under ``evaluators:``."""

    name: str
    """What a recipe calls it."""
    summary: str
    """One line for listings."""
    higher_is_better: bool
    """Which way is up."""

    @property
    def Options(self) -> type[BaseModel]:  # noqa: N802 - a class, usually a plain class attribute
        """Closed pydantic model of the keys a recipe may give it."""
        ...

    def score(
        self,
        options: Any,  # noqa: ANN401 - the plugin owns the type
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,
    ) -> Sequence[float]:
        """Give one score per example, in order; the aggregate is their mean, unless the evaluator is `Aggregating`."""
        ...


@runtime_checkable
class Aggregating(Protocol):
    """What an `Evaluator` is too when the mean of its scores would mislead: it has a method `aggregate`."""

    def aggregate(self, scores: Sequence[float]) -> float:
        """Give one number for the scores of any rows, at least one; intervals ask it about many choices of rows."""
        ...


@runtime_checkable
class BringingExamples(Protocol):
    """What an `Evaluator` is too when it scores examples of its own, a benchmark's, instead of the recipe's rows."""

    def examples(self, options: Any, context: EvaluationContext) -> Sequence[Example]:  # noqa: ANN401
        """Give the examples, the same in the same order at each call; `score` gets them back."""
        ...


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """Which base model is wanted."""

    reference: str
    """What the recipe's ``base_model.source`` says after the source's prefix."""
    revision: str | None
    """Commit, tag or branch for sources that have them."""
    base_dir: Path
    """Relative paths start here: the recipe's folder."""
    place: str
    """Where the recipe names the source."""
    token: SecretStr | None = None
    """Credential for sources that need one."""
    notify: Callable[[str, str], None] = field(default=lambda _code, _message: None)
    """Announce a notice: stable code, then one sentence."""


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A base model whose files are on this machine."""

    path: Path
    """A folder in transformers' layout, or one ``.gguf`` file."""
    format: Literal["folder", "gguf"]
    """How to read `path`."""
    identity: str
    """Portable name that goes into passports, such as ``hub:org/name`` or ``package:dist/file``."""
    revision: str | None = None
    """The exact revision, when the source has one."""


class ModelSource(Protocol):
    """Finds base models. Registered under `name`, which a recipe writes as a prefix: ``name:reference``."""

    name: str
    """The prefix in ``base_model.source``."""
    summary: str
    """One line for listings."""

    def check(self, request: SourceRequest) -> Sequence[Problem]:
        """Say cheaply, without network, what would make `locate` fail; empty when nothing."""
        ...

    def locate(self, request: SourceRequest) -> LocatedModel:
        """Bring the files to this machine if needed; raise `ModelError` when they cannot be had or trusted."""
        ...
