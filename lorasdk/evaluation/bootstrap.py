"""Where a difference between two models lies: a paired bootstrap over the rows that both were scored on.

Which interval is a choice by coverage. With 8 to 100 rows of normal, skewed and 0-or-1 scores, the plain percentile
interval and BCa both hold the true difference too seldom: BCa is made for skewed statistics, not for few rows, and has
no answer where all rows differ alike. What comes close to what it says is simpler:

- for scores of 0 and 1: one row added that got better and one that got worse, the pseudo-counts of Bonett and Price
  (2012, Journal of Educational and Behavioral Statistics 37(4)), then the percentile interval. It has a width where no
  row differs, or all do;
- for other scores: the expanded percentile interval (Hesterberg 2015, The American Statistician 69(4)), which takes
  quantiles further out, as far as a t interval is wider than a normal one on as many rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from lorasdk.eval_report import Interval
from lorasdk.evaluation.guest_imports import leaving_no_trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[np.float64]

Aggregate: TypeAlias = Callable[[Sequence[float]], float]
"""One number for the scores of some rows."""

CONFIDENCE = 0.95
FEWEST_DIFFERING = 6
"""Rows that must differ before chance is excluded: if a difference went either way as a coin falls, five would go the
same way in one of 16 cases, six in one of 32, which is the first below 5 %."""
MOST, FEWEST = 10_000, 1_000
"""Resamples whose means are taken, on few rows and on many."""
DRAWS = 50_000_000
"""Rows drawn in all, unless `FEWEST` resamples take more."""
AT_ONCE = 1_000_000
"""Rows drawn at a time, eight bytes each."""
MOST_AGGREGATED, FEWEST_AGGREGATED, DRAWS_AGGREGATED = 1_000, 400, 20_000_000
"""The same where an evaluator's own aggregate is asked about each resample, twice."""
EQUAL = 1e-12
"""Scores that differ by a smaller share of themselves are equal: what is left is rounding."""


def differences(base: Sequence[float], tuned: Sequence[float]) -> Numbers:
    """Tuned minus base of each row; 0 where the two differ by rounding alone."""
    import numpy as np

    before, after = np.asarray(base, float), np.asarray(tuned, float)
    return np.where(np.isclose(after, before, rtol=EQUAL, atol=0), 0.0, after - before)


def differing(base: Sequence[float], tuned: Sequence[float]) -> int:
    """How many rows the two score differently."""
    import numpy as np

    return int(np.count_nonzero(differences(base, tuned)))


def binary(base: Sequence[float], tuned: Sequence[float]) -> bool:
    """Whether every score of both is 0 or 1."""
    return {*base, *tuned} <= {0.0, 1.0}


def resampled_means(base: Sequence[float], tuned: Sequence[float], *, seed: int) -> Numbers:
    """Mean differences of resampled rows, in rising order.

    Scores of 0 and 1 get one row more that got better and one that got worse.
    """
    import numpy as np

    values = differences(base, tuned)
    if binary(base, tuned):
        values = np.append(values, [1.0, -1.0])
    number = min(MOST, max(FEWEST, DRAWS // len(values)))
    chunks = [values[chosen].mean(axis=1) for chosen in _chosen(len(values), number, seed)]
    return np.sort(np.concatenate(chunks))


def resampled_aggregates(base: Sequence[float], tuned: Sequence[float], aggregate: Aggregate, *, seed: int) -> Numbers:
    """Differences of the aggregates of resampled rows, the same rows for both, in rising order."""
    import numpy as np

    before, after = np.asarray(base, float), np.asarray(tuned, float)
    number = min(MOST_AGGREGATED, max(FEWEST_AGGREGATED, DRAWS_AGGREGATED // len(before)))
    changes = [
        aggregate(after[rows].tolist()) - aggregate(before[rows].tolist())
        for chosen in _chosen(len(before), number, seed)
        for rows in chosen
    ]
    return np.sort(np.asarray(changes))


def interval_of(resampled: Numbers, base: Sequence[float], tuned: Sequence[float], *, means: bool) -> Interval:
    """The interval of what was resampled from at least two rows.

    Fewer than `FEWEST_DIFFERING` rows that differ exclude nothing: then the interval is drawn out to zero.
    """
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    if not (means and binary(base, tuned)):
        tail = _expanded(tail, len(base))
    low, high = (float(value) for value in np.quantile(resampled, [tail, 1 - tail]))
    if differing(base, tuned) < FEWEST_DIFFERING:
        low, high = min(low, 0.0), max(high, 0.0)
    return Interval(low, high, CONFIDENCE)


def interval_of_means(base: Sequence[float], tuned: Sequence[float], *, seed: int) -> Interval:
    """The interval of ``mean(tuned) - mean(base)`` over at least two rows."""
    return interval_of(resampled_means(base, tuned, seed=seed), base, tuned, means=True)


def _chosen(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Rows of each resample, some resamples at a time: resamples x rows."""
    import numpy as np

    generator = np.random.default_rng(seed)
    at_once = max(1, AT_ONCE // rows)
    for begin in range(0, resamples, at_once):
        yield generator.integers(0, rows, (min(at_once, resamples - begin), rows))


def _expanded(tail: float, rows: int) -> float:
    """Φ(√(n/(n-1)) · t), t the quantile of Student's distribution with n - 1 degrees of freedom below `tail`."""
    with leaving_no_trace():
        from scipy.special import ndtr, stdtrit
    return float(ndtr(math.sqrt(rows / (rows - 1)) * stdtrit(rows - 1, tail)))
