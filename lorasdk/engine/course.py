"""What a training remembers of the steps it has taken; with the weights, all that it needs to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorasdk.results import LossPoint, ValidationPoint


@dataclass
class Course:
    """The course of a training up to now."""

    history: list[LossPoint] = field(default_factory=list)
    """One point per step."""
    validations: list[ValidationPoint] = field(default_factory=list)
    """One point per validation."""
    best_step: int = 0
    """The step whose weights are the best so far, where those are kept."""
    tokens: int = 0
    """Trained on."""
    peak_memory: int = 0
    """Bytes."""

    @property
    def step(self) -> int:
        """Steps taken."""
        return len(self.history)

    def facts(self) -> dict[str, Any]:
        """As JSON; numbers come back to the bit."""
        return {
            "history": [[point.loss, point.learning_rate, point.gradient_norm] for point in self.history],
            "validations": [{"step": point.step, "metrics": dict(point.metrics)} for point in self.validations],
            "best_step": self.best_step,
            "tokens": self.tokens,
            "peak_memory": self.peak_memory,
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Course:
        """Read what `facts` gave."""
        history = [LossPoint(step, *numbers) for step, numbers in enumerate(facts["history"], start=1)]
        validations = [ValidationPoint(point["step"], point["metrics"]) for point in facts["validations"]]
        return cls(history, validations, *(facts[name] for name in ("best_step", "tokens", "peak_memory")))
