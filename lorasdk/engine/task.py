"""What a training is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.course import Course
from lorasdk.engine.snapshot import Snapshot
from lorasdk.events import Emit
from lorasdk.recipe.schema import TrainingSection
from lorasdk.results import LossPoint, ValidationPoint
from lorasdk.stopping import StopToken

if TYPE_CHECKING:
    from peft import PeftModel

Stopped: TypeAlias = Literal["finished", "early_stopping", "requested"]
"""Why a training ended."""


@dataclass(frozen=True)
class TrainingTask:
    """Everything a training needs."""

    model: PeftModel
    """Its trainable parameters are what is trained."""
    section: TrainingSection
    """The recipe's ``training`` section."""
    train: Sequence[TokenRow]
    """Training rows, at least one."""
    validation: Sequence[TokenRow]
    """Validation rows; none means no validation."""
    score: Callable[[], Mapping[str, float]]
    """Further validation metrics, such as an evaluator's score on the validation rows."""
    higher_is_better: bool
    """Which way the watched metric should go."""
    emit: Emit
    """Hears events."""
    stop: StopToken
    """Looked at before each forward pass."""
    keep: Callable[[Snapshot], None] = lambda _snapshot: None
    """Takes a snapshot every ``checkpoint_every_steps`` and when the run is stopped."""
    start: Snapshot | None = None
    """Where to go on; from the beginning when left out."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The course of a training; the weights are in the model."""

    steps: int
    saved_step: int
    stopped: Stopped
    history: tuple[LossPoint, ...]
    validations: tuple[ValidationPoint, ...]
    tokens: int
    peak_memory_bytes: int

    @classmethod
    def of(cls, course: Course, stopped: Stopped, *, saved_step: int) -> Trained:
        """The course that a training took until it was `stopped`."""
        return cls(
            steps=course.step,
            saved_step=saved_step,
            stopped=stopped,
            history=tuple(course.history),
            validations=tuple(course.validations),
            tokens=course.tokens,
            peak_memory_bytes=course.peak_memory,
        )
