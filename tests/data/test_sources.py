from itertools import chain, repeat
from pathlib import Path

import pytest
from pydantic import BaseModel

from lorasdk.data.sources import bind_loader, bind_rows, read_splits
from lorasdk.errors import DataError
from lorasdk.events import Notice
from lorasdk.recipe.schema import DataSection, DataSource

ROW = {"instruction": "q", "output": "a"}


class Dead:
    """A loader that fails before it gives a generator."""

    name, summary = "crm", ""

    class Options(BaseModel):
        pass

    def check(self, options, context):
        return []

    def load(self, options, context):
        raise ConnectionError("the line is dead")


def read(rows: list[object], **section: object):
    heard: list[object] = []
    bound = {"train": bind_rows("train", DataSource(), rows)}
    splits = read_splits(bound, DataSection.model_validate(section), seed=1, emit=heard.append)
    return splits, [event for event in heard if isinstance(event, Notice)]


def test_rows_in_memory_are_read_to_max_rows_and_no_further():
    rows = repeat(ROW, 1000)
    bound = bind_rows("train", DataSource(max_rows=3), rows)
    assert len(list(bound.open(lambda _problem: None))) == 3
    assert len(list(rows)) == 997


def test_D42_a_loader_that_fails_at_once_is_named_too():
    source = DataSource(loader="crm")
    bound, _problems = bind_loader("train", source, Dead(), Dead.Options(), base_dir=Path(), place="")
    with pytest.raises(DataError) as caught:
        read_splits({"train": bound}, DataSection(), seed=1, emit=lambda _event: None)
    problem = caught.value.problems[0]
    assert (problem.code, problem.place) == ("data.loader-failed", "train (crm) row 1")


def test_D30_skipped_rows_are_announced_with_count_and_places():
    splits, notices = read([ROW, {**ROW, "output": ""}], on_bad_row="skip")
    assert (len(splits["train"].items), splits["train"].skipped) == (1, 1)
    assert [notice.code for notice in notices] == ["data.skipped"]
    assert "train rows row 2" in notices[0].message


def test_D34_held_out_rows_that_were_trained_on_are_announced():
    _splits, notices = read([ROW] * 4, test=1)
    assert [notice.code for notice in notices] == ["data.duplicates", "data.overlap"]


def test_held_out_rows_keep_their_row_numbers_and_get_hashes_of_their_own():
    splits, _notices = read([{**ROW, "instruction": str(i)} for i in range(1, 9)], validation=2, test=0.25)
    numbers = {name: [example.row for example in part.items] for name, part in splits.items()}
    assert {name: len(rows) for name, rows in numbers.items()} == {"train": 4, "validation": 2, "test": 2}
    assert sorted(chain(*numbers.values())) == list(range(1, 9))
    assert len({part.sha256 for part in splits.values()}) == 3


def overlapping(most: float | None) -> None:
    rows = {"train": [{**ROW, "instruction": f"{i}"} for i in range(9)], "test": [{**ROW, "instruction": "3"}] * 2}
    rows["test"] += [{**ROW, "instruction": "none"}] * 2
    bound = {split: bind_rows(split, DataSource(), of_split) for split, of_split in rows.items()}
    read_splits(bound, DataSection(), seed=1, emit=lambda _event: None, max_overlap=most)


def test_D34_test_rows_that_were_trained_on_are_refused_above_the_recipes_bound():
    with pytest.raises(DataError) as caught:
        overlapping(0.49)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == ("data.too-much-overlap", "evaluation.max_overlap")
    assert problem.message.startswith("2 of 4 test rows ask what a training row asks")
    assert problem.found == "a share of 0.5: rows 1, 2"
    assert problem.allowed == "a share of at most 0.49"


@pytest.mark.parametrize("most", [0.5, None])
def test_D34_as_much_overlap_as_the_recipe_allows_is_read(most: float | None):
    overlapping(most)
