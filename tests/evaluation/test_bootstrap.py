import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t

from lorasdk.evaluation import bootstrap as ours
from lorasdk.evaluation.bootstrap import interval_of_means, resampled_aggregates, resampled_means

RNG = np.random.default_rng(11)


def scipys(base, tuned, *, confidence: float, statistic=lambda b, a, axis: a.mean(axis) - b.mean(axis)):
    found = bootstrap(
        (base, tuned), statistic, paired=True, n_resamples=20_000, confidence_level=confidence, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return pytest.approx([found.low, found.high], abs=0.02)


def test_the_interval_is_scipys_paired_one_at_the_expanded_level():
    base, tuned = RNG.normal(size=(2, 25))
    expanded = 1 - 2 * norm.cdf((25 / 24) ** 0.5 * t.ppf(0.025, 24))
    found = interval_of_means(base, tuned, seed=0)
    assert [found.low, found.high] == scipys(base, tuned, confidence=expanded)
    assert found.confidence == 0.95


def test_of_zeros_and_ones_it_is_scipys_with_one_row_added_each_way():
    base, tuned = (RNG.random((2, 60)) < [[0.3], [0.5]]).astype(float)
    found = interval_of_means(base, tuned, seed=0)
    added = scipys(np.append(base, [0.0, 1.0]), np.append(tuned, [1.0, 0.0]), confidence=0.95)
    assert [found.low, found.high] == added


def test_base_and_tuned_are_resampled_in_pairs():
    base = RNG.normal(0, 100, 40)
    found = interval_of_means(base, base + RNG.normal(1, 0.1, 40), seed=0)
    assert 0.9 < found.low < found.high < 1.1


def test_an_aggregate_sees_the_same_rows_of_both():
    base = RNG.normal(0, 100, 40)
    changes = resampled_aggregates(base, base + 1, lambda scores: sorted(scores)[len(scores) // 2], seed=0)
    assert changes.tolist() == pytest.approx([1.0] * len(changes))


@pytest.mark.parametrize("rows", [8, 30])
@pytest.mark.parametrize("kind", ["normal", "half", "rare", "most"])
def test_intervals_hold_the_true_difference_as_often_as_they_say(kind: str, rows: int, monkeypatch):
    monkeypatch.setattr(ours, "MOST", 1_000)
    rng = np.random.default_rng(5)
    gained, lost = {"normal": (0, 0), "half": (0.5, 0.05), "rare": (0.1, 0.1), "most": (0.9, 0.02)}[kind]
    held = 0
    for trial in range(300):
        changes = rng.choice([1, -1, 0], rows, p=[gained, lost, 1 - gained - lost])
        base, tuned = (changes < 0).astype(float), (changes > 0).astype(float)
        if kind == "normal":
            tuned = rng.normal(size=rows)
        found = interval_of_means(base, tuned, seed=trial)
        held += found.low <= gained - lost <= found.high
    assert held / 300 >= 0.92


def test_many_rows_are_resampled_less_often(monkeypatch):
    monkeypatch.setattr(ours, "DRAWS", 50_000)
    monkeypatch.setattr(ours, "AT_ONCE", 700)
    base, tuned = RNG.normal(size=(2, 20))
    assert (len(resampled_means(base, tuned, seed=0)), len(resampled_means([0] * 400, [2] * 400, seed=0))) == (
        2_500,
        1_000,
    )


def test_nothing_of_the_libraries_import_stays_with_the_host():
    code = (
        "import os, warnings; before = dict(os.environ), list(warnings.filters)\n"
        "import numpy; before = dict(os.environ), list(warnings.filters)\n"
        "from lorasdk.evaluation.bootstrap import interval_of_means\n"
        "interval_of_means([0.5] * 9, [0.7] * 9, seed=0)\n"
        "assert (dict(os.environ), list(warnings.filters)) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
