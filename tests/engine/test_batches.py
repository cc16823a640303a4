import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorasdk.engine.batches import BatchPlan


@given(rows=st.integers(1, 50), batch_size=st.integers(1, 12), seed=st.integers(0, 2**40))
def test_every_row_is_taken_once_per_epoch(rows: int, batch_size: int, seed: int):
    plan = BatchPlan.of(rows, batch_size=batch_size, seed=seed, epochs=2, max_steps=None)
    for epoch in range(2):
        steps = range(epoch * plan.steps_per_epoch + 1, (epoch + 1) * plan.steps_per_epoch + 1)
        assert sorted(i for step in steps for i in plan.row_numbers(step)) == list(range(rows))


def test_epochs_have_different_orders_and_seeds_too():
    plan = BatchPlan.of(20, batch_size=20, seed=1, epochs=2, max_steps=None)
    other = BatchPlan.of(20, batch_size=20, seed=2, epochs=2, max_steps=None)
    assert plan.row_numbers(1) != plan.row_numbers(2)
    assert plan.row_numbers(1) != other.row_numbers(1)


@pytest.mark.parametrize(("epochs", "max_steps", "steps"), [(1, None, 4), (0.5, None, 2), (0.1, None, 1), (None, 9, 9)])
def test_the_number_of_steps(epochs: float | None, max_steps: int | None, steps: int):
    assert BatchPlan.of(10, batch_size=3, seed=0, epochs=epochs, max_steps=max_steps).total_steps == steps
