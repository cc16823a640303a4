"""Watches one validation metric: which measurement is the best, and when to give up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorasdk.errors import Problem, TrainingError
from lorasdk.recipe.schema import EarlyStopping


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one measurement means."""

    best: bool
    """It is the best so far."""
    give_up: bool
    """It is time to stop."""


@dataclass
class MetricWatch:
    """Remembers the best value of one metric, and how long ago it last improved enough to go on."""

    metric: str
    higher_is_better: bool
    stopping: EarlyStopping | None
    best: float | None = None
    improved: float | None = None
    without_improvement: int = 0

    def facts(self) -> dict[str, Any]:
        """What it remembers, as JSON."""
        return {"best": self.best, "improved": self.improved, "without_improvement": self.without_improvement}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Remember what `facts` gave."""
        self.best, self.improved = facts["best"], facts["improved"]
        self.without_improvement = facts["without_improvement"]

    def judge(self, metrics: Mapping[str, float]) -> Verdict:
        """Take in a measurement.

        Raises:
            TrainingError: the metric is missing or not a number.
        """
        value = metrics.get(self.metric, math.nan)
        if math.isnan(value):
            raise TrainingError(_no_such_metric(self.metric, metrics))
        is_best = self._exceeds(value, self.best, by=0.0)
        if is_best:
            self.best = value
        if self.stopping is None:
            return Verdict(best=is_best, give_up=False)
        if self._exceeds(value, self.improved, by=self.stopping.min_delta):
            self.improved, self.without_improvement = value, 0
        else:
            self.without_improvement += 1
        return Verdict(best=is_best, give_up=self.without_improvement >= self.stopping.patience)

    def _exceeds(self, value: float, reference: float | None, *, by: float) -> bool:
        if reference is None:
            return True
        return (value - reference if self.higher_is_better else reference - value) > by


def _no_such_metric(metric: str, metrics: Mapping[str, float]) -> Problem:
    usable = ", ".join(name for name, value in metrics.items() if not math.isnan(value))
    return Problem(
        code="training.metric-missing",
        message=f"the watched metric {metric!r} is {'not a number' if metric in metrics else 'not measured'}",
        field="training.metric",
        found=repr(metric),
        allowed=usable or "none: no validation gave a number",
        fix="watch a metric that validation measures",
    )
