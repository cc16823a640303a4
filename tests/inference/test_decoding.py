from pathlib import Path

import pytest
from tiny_training import load_tiny

from lorasdk.inference.decoding import Batch, Request
from lorasdk.inference.reading import Reader
from lorasdk.recipe.schema import GenerationSection

SETTINGS = GenerationSection(temperature=1.0, repetition_penalty=1.2)
REQUESTS = [
    Request(ids, seed=i, limit=9, settings=SETTINGS)
    for i, ids in enumerate([(1, 70, 71), (1, 80), (1, 90, 91, 92, 93)])
]


@pytest.fixture(scope="module")
def reader(tiny_model_dir: Path) -> Reader:
    return Reader(load_tiny(tiny_model_dir).model)


def batch_of(reader: Reader, requests) -> Batch:
    return Batch(reader, requests)


def test_rows_that_stay_go_on_as_if_nobody_had_left(reader):
    whole, shrinking = batch_of(reader, REQUESTS), batch_of(reader, REQUESTS)
    everything = [whole.step() for _ in range(9)]
    assert [shrinking.step() for _ in range(2)] == everything[:2]
    shrinking.keep([0, 2])
    assert [shrinking.step() for _ in range(3)] == [[row[0], row[2]] for row in everything[2:5]]
    shrinking.keep([1])
    assert [shrinking.step() for _ in range(4)] == [[row[2]] for row in everything[5:]]


def test_a_row_that_left_is_computed_no_more(reader, monkeypatch):
    batch, rows, read = batch_of(reader, REQUESTS), [], Reader.read
    monkeypatch.setattr(Reader, "read", lambda self, ids, **rest: (rows.append(len(ids)), read(self, ids, **rest))[1])
    batch.step()
    batch.keep([1])
    batch.step()
    assert rows == [3, 1]


def test_rows_of_a_model_that_remembers_in_a_way_of_its_own_are_computed_and_left_out(reader, monkeypatch):
    whole, shrinking = batch_of(reader, REQUESTS), batch_of(reader, REQUESTS)
    everything = [whole.step() for _ in range(4)]
    monkeypatch.setattr("lorasdk.inference.decoding.Cache", type(None))
    shrinking.step()
    shrinking.keep([1, 2])
    shrinking.step()
    shrinking.keep([1])
    assert [shrinking.step() for _ in range(2)] == [[row[2]] for row in everything[2:]]
