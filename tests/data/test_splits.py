import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorasdk.contracts import Example, Message
from lorasdk.data.duplicates import find_duplicates
from lorasdk.data.splits import hold_out
from lorasdk.errors import DataError
from lorasdk.recipe.schema import Split


@given(rows=st.integers(10, 200), seed=st.integers(0, 100), fraction=st.floats(0.1, 0.4), count=st.integers(1, 3))
def test_splits_are_disjoint_complete_and_decided_by_the_seed(rows: int, seed: int, fraction: float, count: int):
    shares = {"validation": Split(fraction=fraction), "test": Split(rows=count)}
    chosen = hold_out(rows, shares, seed=seed)
    assert sorted(i for part in chosen.values() for i in part) == list(range(rows))
    assert len(chosen["test"]) == count
    assert chosen == hold_out(rows, shares, seed=seed)


def test_another_seed_chooses_other_rows():
    share = {"test": Split(rows=5)}
    assert hold_out(100, share, seed=1)["test"] != hold_out(100, share, seed=2)["test"]


@pytest.mark.parametrize("share", [Split(rows=10), Split(rows=11), Split(fraction=0.01), Split(fraction=0.99)])
def test_D35_a_share_of_everything_or_nothing_is_refused_with_n(share: Split):
    with pytest.raises(DataError) as caught:
        hold_out(10, {"validation": share}, seed=0)
    assert "n = 10" in str(caught.value)
    assert caught.value.problems[0].field == "data.validation"


def test_D35_two_shares_that_leave_nothing_are_refused():
    with pytest.raises(DataError):
        hold_out(10, {"validation": Split(rows=5), "test": Split(rows=5)}, seed=0)


def example(row: int, question: str, answer: str = "a") -> Example:
    return Example(row, (Message("user", question), Message("assistant", answer)))


def test_D34_repeated_rows_and_overlap_are_counted_with_their_rows():
    train = [example(1, "x"), example(2, "y"), example(3, "x"), example(4, "x", "other")]
    notices = find_duplicates({"train": train, "test": [example(7, "y", "b"), example(8, "z")]}).notices()
    assert [notice.code for notice in notices] == ["data.duplicates", "data.overlap"]
    assert notices[0].message == "1 of 4 training rows repeat an earlier one: rows 3"
    assert notices[1].message == "1 of 2 test rows ask what a training row asks: rows 7"


def test_D34_nothing_is_said_of_clean_data():
    assert find_duplicates({"train": [example(1, "x")], "test": [example(1, "y")]}).notices() == []


def test_D34_rows_with_tool_calls_are_compared_too():
    calling = Message("assistant", "", tool_calls=({"function": {"name": "f", "arguments": {"x": 1}}},))
    rows = [Example(row, (Message("user", "q"), calling)) for row in (1, 2)]
    (notice,) = find_duplicates({"train": rows}).notices()
    assert notice.code == "data.duplicates"
