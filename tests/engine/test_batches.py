import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.batches import IGNORED, BatchPlan, micro_batches, pad

CPU = torch.device("cpu")


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


def test_micro_batches_put_like_lengths_together():
    rows = [TokenRow(i, tuple(range(length)), ()) for i, length in enumerate((5, 1, 4, 2, 3))]
    assert [[len(row.ids) for row in part] for part in micro_batches(rows, 2)] == [[1, 2], [3, 4], [5]]


def test_padding_keeps_only_positions_before_supervised_tokens():
    batch = pad([TokenRow(1, (7, 8, 9), ((2, 3),)), TokenRow(2, (4, 5, 6, 7, 8), ((1, 2), (4, 5)))], device=CPU)
    assert batch.input_ids.tolist() == [[0, 0, 7, 8, 9], [4, 5, 6, 7, 8]]
    assert batch.attention_mask.tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert batch.position_ids.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]
    assert batch.keep.tolist() == [0, 3]
    assert batch.labels.tolist() == [[IGNORED, 9], [5, 8]]


def row(ids: list[int], start: int) -> TokenRow:
    return TokenRow(1, tuple(ids), ((start, len(ids)),))


def test_a_long_common_beginning_is_taken_out_once():
    common = list(range(100, 120))
    batch = pad([row([*common, 1, 2, 3], 22), row([*common, 4, 5], 21)], device=CPU, share_prefix=True)
    assert batch.prefix_ids.tolist() == common
    assert batch.input_ids.tolist() == [[1, 2, 3], [0, 4, 5]]
    assert batch.attention_mask.tolist() == [[1] * 23, [1] * 20 + [0, 1, 1]]
    assert batch.position_ids.tolist() == [[20, 21, 22], [20, 20, 21]]
    assert (batch.keep.tolist(), batch.labels.tolist()) == ([1], [[3], [5]])


@pytest.mark.parametrize("rows", [[row([*range(20), 1], 20)], [row([*range(9), 1], 9), row([*range(9), 2], 9)]])
def test_a_single_row_or_a_short_beginning_is_not_worth_it(rows: list[TokenRow]):
    assert len(pad(rows, device=CPU, share_prefix=True).prefix_ids) == 0


def test_each_row_keeps_the_token_that_predicts_its_first_supervised_one():
    rows = [row([*range(20), 1], 20), row([*range(20), 2], 20)]
    batch = pad(rows, device=CPU, share_prefix=True)
    assert batch.prefix_ids.tolist() == list(range(19))
    assert batch.labels.tolist() == [[1], [2]]
