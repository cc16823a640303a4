from statistics import geometric_mean

import numpy as np
import pytest
from scipy.stats import binomtest

from lorasdk.builtin.exact_match import ExactMatch
from lorasdk.builtin.perplexity import Perplexity
from lorasdk.contracts import Evaluator
from lorasdk.errors import PluginError
from lorasdk.eval_report import Interval, Score
from lorasdk.evaluation.statistics import judged, mcnemar, verdict_of

MEAN, LOWER = ExactMatch(), Perplexity()


def scored(base: list[float], tuned: list[float], evaluator: Evaluator = MEAN, **options: int) -> Score:
    return judged("it", evaluator, base, tuned, **options)


def test_a_clear_gain_is_better_and_needs_no_more_rows():
    score = scored([0.0] * 12 + [1.0] * 4, [1.0] * 16)
    assert (score.base, score.tuned, score.verdict, score.rows_needed) == (0.25, 1.0, "better", None)
    assert score.interval is not None
    assert 0 < score.interval.low < score.change < score.interval.high <= 1
    assert score.p_value == pytest.approx(binomtest(12, 12).pvalue)


def test_which_way_is_up_decides_between_better_and_worse():
    less = Interval(-0.3, -0.1)
    assert [verdict_of(less, higher_is_better=up) for up in (True, False)] == ["worse", "better"]
    assert [verdict_of(Interval(0.1, 0.3), higher_is_better=up) for up in (True, False)] == ["better", "worse"]
    assert {verdict_of(each, higher_is_better=True) for each in (None, Interval(0, 1), Interval(-1, 0))} == {
        "no evidence"
    }


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (7, 1), (40, 25), (3, 900), (6000, 5800)])
def test_mcnemars_test_is_the_binomial_one(gained: int, lost: int):
    base = [0.0] * gained + [1.0] * lost + [1.0, 0.0]
    tuned = [1.0] * gained + [0.0] * lost + [1.0, 0.0]
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(base, tuned) == pytest.approx(expected, rel=1e-9)


def test_mcnemars_test_is_for_zeros_and_ones_only():
    assert scored([0.0, 1.0, 0.5], [1.0, 1.0, 1.0]).p_value is None


@pytest.mark.parametrize("gain", [1.0, 0.3, 1e6])
def test_one_row_is_no_evidence_however_large_its_difference(gain: float):
    score = scored([0.0], [gain])
    assert (score.interval, score.verdict, score.rows_needed) == (None, "no evidence", None)


@pytest.mark.parametrize(("base", "tuned"), [([0.0] * 5, [1.0] * 5), ([0.1] * 300, [0.9] * 5 + [0.1] * 295)])
def test_five_rows_that_differ_are_no_evidence_and_six_are(base: list[float], tuned: list[float]):
    score = scored(base, tuned)
    assert score.verdict == "no evidence"
    assert score.interval is not None
    assert score.interval.low == 0 < score.interval.high
    assert score.rows_needed is not None
    assert score.rows_needed >= len(base) * 6 / 5
    assert scored([*base, 0.0], [*tuned, 1.0]).verdict == "better"


def test_models_that_score_the_same_are_no_evidence_and_no_number_of_rows_would_help():
    zeros_and_ones, others = scored([0.0, 1.0] * 20, [0.0, 1.0] * 20), scored([0.2, 0.4] * 9, [0.2, 0.4] * 9)
    for score in (zeros_and_ones, others):
        assert (score.verdict, score.rows_needed) == ("no evidence", None)
    assert others.interval == Interval(0, 0)
    assert zeros_and_ones.interval is not None
    assert -0.1 < zeros_and_ones.interval.low < 0 < zeros_and_ones.interval.high < 0.1


def test_rounding_is_no_difference():
    base = [0.3] * 50
    assert scored(base, [0.1 + 0.2] * 50).verdict == "no evidence"


def test_equal_differences_of_many_rows_are_evidence():
    assert scored([0.2] * 8, [0.4] * 8).verdict == "better"
    score = scored([0.0] * 10, [1.0] * 10)
    assert score.interval is not None
    assert (0.3 < score.interval.low < 0.9, score.interval.high) == (True, 1)


def test_the_seed_decides_and_the_hosts_random_numbers_are_left_alone():
    rng = np.random.default_rng(0)
    base, tuned = rng.normal(size=(2, 30)).tolist()
    np.random.seed(5)
    state = np.random.get_state()[1].tolist()
    first, again, other = (scored(base, tuned, seed=seed).interval for seed in (1, 1, 2))
    assert first == again != other
    assert np.random.get_state()[1].tolist() == state


def test_rows_needed_find_the_difference_four_times_in_five():
    rng = np.random.default_rng(7)
    base = np.zeros(40)
    needed = scored(base.tolist(), np.where(np.arange(40) < 10, 1.0, np.where(np.arange(40) < 16, -1.0, 0)).tolist())
    assert needed.verdict == "no evidence"
    assert needed.rows_needed is not None
    drawn = rng.choice([1.0, -1.0, 0.0], (2000, needed.rows_needed), p=[10 / 40, 6 / 40, 24 / 40])
    significant = drawn.mean(1) / (drawn.std(1, ddof=1) / needed.rows_needed**0.5) > 1.96
    assert significant.mean() == pytest.approx(0.8, abs=0.03)


def test_an_evaluators_own_aggregate_is_asked_about_the_resamples_too():
    rng = np.random.default_rng(3)
    base = rng.lognormal(3, 1, 60)
    tuned = base * rng.lognormal(-0.5, 0.2, 60)
    score = scored(base.tolist(), tuned.tolist(), LOWER)
    assert score.tuned == pytest.approx(geometric_mean(tuned.tolist()))
    assert (score.verdict, score.p_value) == ("better", None)
    assert score.interval is not None
    assert score.interval.low < score.change < score.interval.high < 0


def test_rows_needed_of_an_aggregate_follow_from_the_bootstraps_spread():
    rng = np.random.default_rng(4)
    base, tuned = (rng.normal(5, 1, 50).tolist() for _ in range(2))

    class Mean(Perplexity):
        def aggregate(self, scores):
            return float(np.mean(scores))

    by_bootstrap, by_formula = scored(base, tuned, Mean()).rows_needed, scored(base, tuned).rows_needed
    assert by_bootstrap == pytest.approx(by_formula, rel=0.2)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), None])
def test_an_aggregate_that_some_rows_have_no_number_for_is_an_error(wrong: object):
    class Picky(Perplexity):
        def aggregate(self, scores):
            return 1.0 if len(set(scores)) == 8 else wrong

    with pytest.raises(PluginError) as caught:
        scored(list(range(8)), list(range(1, 9)), Picky())
    assert caught.value.code == "plugin.aggregate-failed"
    assert "'it' has no number for 8 rows" in str(caught.value)
