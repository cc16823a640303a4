import math

import pytest

from lorasdk.engine.watch import MetricWatch
from lorasdk.errors import TrainingError
from lorasdk.recipe.schema import EarlyStopping


def verdicts(values: list[float], *, higher: bool = False, **stopping: float) -> list[tuple[bool, bool]]:
    watch = MetricWatch("m", higher, EarlyStopping.model_validate(stopping) if stopping else None)
    return [(verdict.best, verdict.give_up) for verdict in (watch.judge({"m": value}) for value in values)]


def test_the_lowest_loss_is_the_best():
    assert verdicts([3, 2, 2.5, 1]) == [(True, False), (True, False), (False, False), (True, False)]


def test_the_highest_score_is_the_best():
    assert verdicts([0.1, 0.5, 0.2], higher=True) == [(True, False), (True, False), (False, False)]


def test_patience_counts_measurements_without_improvement():
    assert [give_up for _, give_up in verdicts([3, 3, 2, 2, 2], patience=2)] == [False, False, False, False, True]


def test_steps_smaller_than_min_delta_add_up_to_improvement_only_together():
    values = [1.0, 0.96, 0.92, 0.88]
    assert [give_up for _, give_up in verdicts(values, patience=2, min_delta=0.1)] == [False, False, True, False]


@pytest.mark.parametrize("metrics", [{"loss": 1.0}, {"loss": 1.0, "m": math.nan}])
def test_P91_a_missing_metric_lists_the_available_ones(metrics: dict[str, float]):
    with pytest.raises(TrainingError) as caught:
        MetricWatch("m", higher_is_better=True, stopping=None).judge(metrics)
    assert caught.value.problems[0].allowed == "loss"
