"""What an evaluator's scores are worth: interval, test, verdict, and how many rows it would take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from lorasdk.contracts import Aggregating, Evaluator
from lorasdk.errors import LorasdkError, PluginError, Problem
from lorasdk.eval_report import Interval, Score, Verdict
from lorasdk.evaluation.bootstrap import (
    CONFIDENCE,
    FEWEST_DIFFERING,
    binary,
    differences,
    differing,
    interval_of,
    resampled_aggregates,
    resampled_means,
)
from lorasdk.evaluation.guest_imports import leaving_no_trace
from lorasdk.evaluation.scoring import aggregate

if TYPE_CHECKING:
    from lorasdk.evaluation.bootstrap import Numbers

POWER = 0.8
"""How often an evaluation with `Score.rows_needed` rows finds the difference."""
SHOWN = 10
"""Scores that a message lists."""


def judged(
    name: str, evaluator: Evaluator, base_rows: Sequence[float], tuned_rows: Sequence[float], *, seed: int = 0
) -> Score:
    """Say what the scores of base and tuned model on the same rows come to, and what that is worth.

    The verdict is the interval's: ``better`` or ``worse`` when it lies on one side of zero, ``no evidence`` when it
    holds zero or there is none. How few rows can say is bounded:

    - one row has no interval;
    - where fewer than six rows differ, the interval is drawn out to zero, however large the differences and however
      many the rows: five of five in one direction is chance in one of 16 cases;
    - where no row differs it is zero alone, or, for scores of 0 and 1, a little around zero: among more rows some might
      differ;
    - where all rows differ alike, scores of 0 and 1 keep an interval with a width. For other scores it has none then:
      nothing in such rows says how much they could differ.

    `Score.rows_needed` is ((z₀.₉₇₅ + z₀.₈)·σ/δ)² with the spread σ of the paired differences, σ² being n times the
    bootstrap's variance where the evaluator has an aggregate of its own; and at least as many rows as let six differ.

    Args:
        name: of the evaluator, told from others of the same name.
        evaluator: says which way is up, and may aggregate.
        base_rows: finite score of each row, at least one.
        tuned_rows: the same rows' scores with the adapter.
        seed: of the resampling, which draws from a generator of its own; the same seed gives the same score.

    Raises:
        PluginError: the evaluator's aggregate fails or is no finite number, for all rows or for some choice of them.
    """
    whole = _checked(name, evaluator)
    base, tuned = whole(base_rows), whole(tuned_rows)
    score = Score(name, base, tuned, tuple(base_rows), tuple(tuned_rows), evaluator.higher_is_better)
    p_value = mcnemar(base_rows, tuned_rows) if binary(base_rows, tuned_rows) else None
    if score.rows == 1:
        return _with(score, None, p_value, None)
    means = not isinstance(evaluator, Aggregating)
    if means:
        resampled = resampled_means(base_rows, tuned_rows, seed=seed)
    else:
        resampled = resampled_aggregates(base_rows, tuned_rows, whole, seed=seed)
    interval = interval_of(resampled, base_rows, tuned_rows, means=means)
    return _with(score, interval, p_value, _rows_needed(score, _spread(score, resampled, means=means)))


def verdict_of(interval: Interval | None, *, higher_is_better: bool) -> Verdict:
    """Whether tuned is better, by the interval of tuned minus base."""
    if interval is None or interval.low <= 0 <= interval.high:
        return "no evidence"
    return "better" if (interval.low > 0) == higher_is_better else "worse"


def mcnemar(base_rows: Sequence[float], tuned_rows: Sequence[float]) -> float:
    """P-value of McNemar's exact test on scores of 0 and 1.

    How likely a coin falls at least as unevenly as the rows that differ, either way: 2·P(X ≤ min(b, c)) with
    X ~ Binomial(b + c, ½), at most 1. What ``scipy.stats.binomtest(b, b + c)`` gives.
    """
    gained = sum(after > before for before, after in zip(base_rows, tuned_rows, strict=True))
    lost = sum(after < before for before, after in zip(base_rows, tuned_rows, strict=True))
    with leaving_no_trace():
        from scipy.special import bdtr
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def _with(score: Score, interval: Interval | None, p_value: float | None, needed: int | None) -> Score:
    verdict = verdict_of(interval, higher_is_better=score.higher_is_better)
    needed = needed if verdict == "no evidence" else None
    return replace(score, interval=interval, p_value=p_value, verdict=verdict, rows_needed=needed)


def _spread(score: Score, resampled: Numbers, *, means: bool) -> float:
    """Standard deviation of what one row adds to the change."""
    if means:
        return float(differences(score.base_rows, score.tuned_rows).std(ddof=1))
    return float(resampled.std(ddof=1)) * math.sqrt(score.rows)


def _rows_needed(score: Score, spread: float) -> int | None:
    differ = differing(score.base_rows, score.tuned_rows)
    if score.change == 0 or not differ:
        return None
    normal = NormalDist()
    distance = normal.inv_cdf((1 + CONFIDENCE) / 2) + normal.inv_cdf(POWER)
    enough = (distance * spread / score.change) ** 2
    return max(math.ceil(enough), math.ceil(FEWEST_DIFFERING * score.rows / differ), score.rows + 1)


def _checked(name: str, evaluator: Evaluator) -> Callable[[Sequence[float]], float]:
    """The evaluator's aggregate, which is somebody else's code."""

    def whole(scores: Sequence[float]) -> float:
        try:
            value = float(aggregate(evaluator, scores))
        except (LorasdkError, MemoryError):
            raise
        except Exception as error:
            raise PluginError(_failed(name, scores, f"{type(error).__name__}: {error}")) from error
        if not math.isfinite(value):
            raise PluginError(_failed(name, scores, f"it gave {value}"))
        return value

    return whole


def _failed(name: str, scores: Sequence[float], why: str) -> Problem:
    return Problem(
        code="plugin.aggregate-failed",
        message=f"the evaluator {name!r} has no number for {len(scores)} rows: {why}",
        field="evaluation.evaluators",
        found=", ".join(f"{score:g}" for score in scores[:SHOWN]) + (", …" if len(scores) > SHOWN else ""),
        allowed="a finite number for the scores of any rows, at least one, also when a row stands there twice",
        fix="repair the evaluator's aggregate method",
    )
