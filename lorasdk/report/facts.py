"""What a report says about a run beside its scores: recipe, rows, course, versions. All of it may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split of the data."""

    split: str
    """``train``, ``validation`` or ``test``."""
    rows: int
    """Rows used."""
    skipped: int
    """Rows left out by the recipe's policies."""
    tokens: int
    """Tokens of the rows used."""
    supervised_tokens: int
    """Tokens that the loss is taken on."""
    longest: int | None = None
    """Tokens of the longest row; None without events."""
    sha256: str | None = None
    """Hash of the rows as they were used, in order; None without a passport."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One optimizer step."""

    step: int
    """From 1."""
    loss: float
    """Mean cross-entropy per supervised token, in nats."""
    learning_rate: float
    """Learning rate of the step."""
    tokens_per_second: float
    """Tokens of the step divided by its duration."""


@dataclass(frozen=True, slots=True)
class ValidationFacts:
    """One measurement of the validation rows."""

    step: int
    """Steps taken before it."""
    metrics: Mapping[str, float]
    """Metric name to value."""


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """Something that was decided or skipped."""

    code: str
    """Stable identifier."""
    message: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """How the training went, from the passport."""

    steps: int
    """Optimizer steps taken."""
    saved_step: int
    """The step whose weights were kept."""
    stopped: str
    """``finished``, ``early_stopping`` or ``requested``."""
    loss: float | None
    """Mean training loss over the last tenth of the steps, nats per supervised token."""
    tokens: int
    """Tokens trained on."""
    seconds: float
    """Duration."""
    peak_memory_bytes: int
    """Highest memory use after a forward pass."""
    trainable_parameters: int
    """Parameters trained."""
    total_parameters: int
    """Parameters of base model and adapter."""
    trainable_share: float
    """The one divided by the other, 0 to 1."""
    bit_exact: bool
    """Whether the same recipe ends with these bits on the same machine."""
    changes: tuple[str, ...]
    """What differed when the run was taken up again."""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """The base model, from the passport."""

    source: str
    """``base_model.source`` of the recipe."""
    identity: str
    """Portable name."""
    quantization: str
    """How its weights were held."""
    dtype: str
    """What they computed in."""
    device: str | None = None
    """Where; None without events."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as far as its folder tells."""

    run: str = ""
    """Name of the run's folder, such as ``run-0001``."""
    recipe_name: str = ""
    """``Recipe.name``."""
    created: str = ""
    """When the adapter was made: UTC, ISO 8601."""
    recipe: str = ""
    """The recipe as YAML."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Every value of the recipe, defaults included: dotted name to JSON."""
    base: BaseFacts | None = None
    """The base model."""
    training: TrainingFacts | None = None
    """How the training went."""
    splits: tuple[SplitFacts, ...] = ()
    """The data."""
    steps: tuple[StepFacts, ...] = ()
    """The course; empty without events."""
    validations: tuple[ValidationFacts, ...] = ()
    """Measurements on the way."""
    notices: tuple[NoticeFacts, ...] = ()
    """What was decided or skipped."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Hashes of recipe, base model, template and adapter."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of lorasdk, Python and the libraries that computed."""
    absent: tuple[str, ...] = ()
    """Files that would have told more."""

    def split(self, name: str) -> SplitFacts | None:
        """One split, if it is known."""
        return next((split for split in self.splits if split.split == name), None)
