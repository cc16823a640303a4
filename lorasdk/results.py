"""Frozen answers that callers get back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorasdk.eval_report import EvalReport


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a predictor."""

    text: str
    """The new text only, never the prompt."""
    prompt_tokens: int
    """Tokens the model was given."""
    completion_tokens: int
    """Tokens the model produced, the one that ends the turn included."""
    finish_reason: Literal["stop", "length"]
    """``stop``: the model ended its turn or a stop sequence came; ``length``: ``max_new_tokens`` was reached."""


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """How likely a model finds an answer that it is given."""

    log_probability: float
    """Σ ln p(token | the prompt and what is before it in the answer), in nats, at most 0."""
    tokens: int
    """Tokens of the answer, the one that ends the turn included."""
    greedy: bool = False
    """Whether each of them is the likeliest at its place: then it is what the model answers when nothing is drawn."""

    @property
    def per_token(self) -> float:
        """Mean log-probability of a token, in nats."""
        return self.log_probability / self.tokens


@dataclass(frozen=True, slots=True)
class Span:
    """A run of tokens of a previewed row that are all trained on, or all not."""

    text: str
    """The tokens, decoded together."""
    tokens: int
    """How many."""
    supervised: bool
    """Whether the loss is taken on them."""


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row as the model will see it."""

    split: str
    """``train``, ``validation`` or ``test``."""
    row: int
    """Row number in its source, from 1."""
    spans: tuple[Span, ...]
    """The whole row, in order."""

    @property
    def tokens(self) -> int:
        """Tokens of the row."""
        return sum(span.tokens for span in self.spans)

    @property
    def supervised_tokens(self) -> int:
        """Tokens that the loss is taken on."""
        return sum(span.tokens for span in self.spans if span.supervised)


@dataclass(frozen=True, slots=True)
class LossPoint:
    """The loss of one optimizer step."""

    step: int
    """From 1."""
    loss: float
    """Mean cross-entropy per supervised token, in nats."""
    learning_rate: float
    """Learning rate of the step."""
    gradient_norm: float
    """Euclidean norm of all gradients before clipping."""


@dataclass(frozen=True, slots=True)
class ValidationPoint:
    """One measurement of the validation rows."""

    step: int
    """Steps taken before it."""
    metrics: Mapping[str, float]
    """Metric name to value."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run gave."""

    adapter_dir: Path
    """A PEFT adapter with its passport, ``lorasdk.json``."""
    run_dir: Path
    """Folder of the run; holds the adapter folder."""
    steps: int
    """Optimizer steps taken."""
    saved_step: int
    """The step whose weights were kept: the last, or the best when the recipe keeps the best."""
    stopped: Literal["finished", "early_stopping", "requested"]
    """Why the run ended."""
    history: tuple[LossPoint, ...]
    """One point per step."""
    validations: tuple[ValidationPoint, ...]
    """One point per validation."""
    trainable_parameters: int
    """Parameters that were trained."""
    total_parameters: int
    """Parameters of base model and adapter together."""
    tokens: int
    """Tokens trained on, padding left out, all epochs together."""
    seconds: float
    """Duration from the call to the saved adapter."""
    peak_memory_bytes: int
    """Highest memory use seen after a forward pass: resident set of the process on a CPU, else allocated memory."""
    resumed_from: int = 0
    """Steps that were taken already when this call began; 0 for a run from the start."""
    report: EvalReport | None = None
    """Base against tuned on the test rows; None without test rows, or when the comparison failed or was stopped."""

    @property
    def trainable_share(self) -> float:
        """Trainable parameters as a share of all, 0 to 1."""
        return self.trainable_parameters / self.total_parameters

    @property
    def loss(self) -> float:
        """Mean training loss over the last tenth of the steps, in nats per supervised token."""
        tail = self.history[-max(1, len(self.history) // 10) :]
        return sum(point.loss for point in tail) / len(tail)


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """One adapter of a set."""

    name: str
    """What requests call it."""
    folder: Path
    """Where it came from."""
    recipe_name: str
    """Name of the recipe that it was trained by."""
    created: str
    """When it was trained: UTC, ISO 8601."""
    rank: int
    """The largest rank of its matrices."""
    bytes: int
    """Memory that it takes while it is there."""
    resident: bool
    """Whether it is in memory; if not, the next request for it reads its folder again."""
