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


def test_rows_that_join_and_those_they_join_go_on_as_if_alone(reader):
    apart = [batch_of(reader, REQUESTS[:2]), batch_of(reader, REQUESTS[2:])]
    host, guest = batch_of(reader, REQUESTS[:2]), batch_of(reader, REQUESTS[2:])
    assert [host.step() for _ in range(3)] == [apart[0].step() for _ in range(3)]
    assert guest.step() == apart[1].step()
    assert host.can_join(guest)
    host.join(guest)
    for _ in range(3):
        assert host.step() == [*apart[0].step(), *apart[1].step()]
    host.keep([2, 0])
    for _ in range(2):
        assert host.step() == [*apart[1].step(), apart[0].step()[0]]


def test_a_long_row_that_joins_a_short_one_and_leaves_takes_its_columns_with_it(reader):
    long = Request((1, *range(60, 100)), seed=9, limit=9, settings=SETTINGS)
    alone, host, guest = batch_of(reader, REQUESTS[:1]), batch_of(reader, REQUESTS[:1]), batch_of(reader, [long])
    assert host.step() == alone.step()
    guest.step()
    host.join(guest)
    assert host.step()[0] == alone.step()[0]
    wide = host.filled
    host.keep([0])
    assert host.filled < wide
    assert [host.step() for _ in range(5)] == [alone.step() for _ in range(5)]


def test_each_row_is_chosen_by_settings_of_its_own(reader):
    ways = [SETTINGS, GenerationSection(), GenerationSection(temperature=2.0, top_k=5)]
    requests = [Request(REQUESTS[0].ids, seed=3, limit=9, settings=way) for way in ways]
    together, alone = batch_of(reader, requests), [batch_of(reader, [request]) for request in requests]
    for _ in range(5):
        assert together.step() == [batch.step()[0] for batch in alone]
