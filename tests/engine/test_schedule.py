import pytest

from lorasdk.engine.schedule import learning_rate
from lorasdk.recipe.schema import TrainingSection


def rates(total: int, **section: object) -> list[float]:
    settings = TrainingSection.model_validate({"learning_rate": 1.0, "max_steps": total, **section})
    return [round(learning_rate(settings, step, total), 4) for step in range(1, total + 1)]


def test_constant():
    assert rates(4, schedule="constant", warmup=0) == [1, 1, 1, 1]


def test_warm_up_rises_to_the_peak_without_a_step_at_zero():
    assert rates(4, schedule="constant", warmup=0.5) == [0.5, 1, 1, 1]


def test_linear_falls_evenly():
    assert rates(4, schedule="linear", warmup=0) == [1, 0.75, 0.5, 0.25]


def test_cosine_falls_slowly_at_both_ends():
    assert rates(4, schedule="cosine", warmup=0) == [1, 0.8536, 0.5, 0.1464]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_may_fill_the_whole_run(schedule: str):
    assert rates(2, schedule=schedule, warmup=1.0) == [0.5, 1.0]
