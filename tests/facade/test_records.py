import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorasdk import DataError, EvaluationFinished, Event, LorasdkError, Notice, Problem, StepFinished, TrainResult
from lorasdk.records import (
    error_of,
    error_record,
    event_of,
    event_record,
    read_line,
    record_line,
    result_of,
    result_record,
)

TEXTS = st.text(st.characters(exclude_categories=()))
"""Lone surrogates too: that is how Python spells file names that are no UTF-8."""
PATHS = st.text(st.characters(exclude_characters="\0"), min_size=1).map(Path)
st.register_type_strategy(str, TEXTS)
st.register_type_strategy(Path, PATHS)
st.register_type_strategy(Mapping, st.dictionaries(TEXTS, st.floats()))


def same(one: object, other: object) -> bool:
    """Equality that takes NaN for itself and tells 0.0 from -0.0."""
    return repr(one) == repr(other)


def there_and_back(event: Event) -> Event | None:
    return event_of(read_line(record_line(event_record(event))))


@given(st.one_of(*(st.from_type(kind) for kind in get_args(Event))))
def test_an_event_comes_back_as_it_was(event):
    assert same(there_and_back(event), event)


@given(st.from_type(TrainResult))
def test_a_result_comes_back_as_it_was(result):
    assert same(result_of(read_line(record_line(result_record(result)))), result)


@given(st.sampled_from(LorasdkError.__subclasses__()), st.lists(st.from_type(Problem), min_size=1))
def test_an_error_comes_back_as_the_same_type_with_the_same_problems(kind, problems):
    error = error_of(read_line(record_line(error_record(kind(*problems)))))
    assert (type(error), error.problems) == (kind, tuple(problems))


def test_records_name_event_version_and_fields():
    assert event_record(Notice("data.skipped", "one")) == {
        "event": "Notice",
        "version": 1,
        "code": "data.skipped",
        "message": "one",
    }


def test_what_is_no_finite_number_is_still_json():
    event = EvaluationFinished(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1}, best=False)
    line = record_line(event_record(event))
    strict = json.loads(line, parse_constant=pytest.fail)
    assert strict["metrics"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.1}
    assert same(there_and_back(event), event)


def test_numbers_of_numpy_and_read_only_mappings_are_written():
    event = EvaluationFinished(np.int64(3), MappingProxyType({"score": np.float32(0.5)}), best=False)
    assert there_and_back(event) == EvaluationFinished(3, {"score": 0.5}, best=False)


def test_records_of_a_newer_release_are_tolerated():
    record = event_record(Notice("a.b", "c"))
    assert event_of({**record, "version": 2, "severity": 3}) == Notice("a.b", "c")
    assert event_of({"event": "MoonRose", "version": 2}) is None


def test_an_error_of_a_newer_release_is_still_one_of_ours():
    error = error_of({"error": "WeatherError", "version": 2, "problems": [{"code": "a.b", "message": "c", "new": 1}]})
    assert (type(error), error.problems) == (LorasdkError, (Problem("a.b", "c"),))


def test_a_plugins_own_error_becomes_the_nearest_of_ours():
    class BrokenRowsError(DataError):
        pass

    assert type(error_of(error_record(BrokenRowsError(Problem("a.b", "c"))))) is DataError


STEP = event_record(StepFinished(1, 2, 0.5, 1.0, 1e-4, 1.0, 10, 100.0, 1000, 1.0))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"event": 3},
        {"event": "Notice"},
        {"event": "Notice", "code": "a.b", "message": None},
        {**STEP, "step": "1"},
        {**STEP, "step": True},
        {**STEP, "loss": []},
        {"event": "AdapterAttached", "trainable_parameters": 1, "total_parameters": 2, "modules": "abc"},
        {"event": "EvaluationFinished", "step": 1, "metrics": [], "best": True},
    ],
)
def test_what_is_no_event_is_refused_in_words(record):
    with pytest.raises(DataError) as caught:
        event_of(record)
    assert caught.value.code == "record.unreadable"


@given(st.binary())
def test_random_bytes_raise_nothing_but_our_error(line):
    with suppress(DataError):
        event_of(read_line(line))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from(get_args(Event)), st.data())
def test_random_fields_raise_nothing_but_our_error(kind, data):
    record = {field.name: data.draw(JSON) for field in fields(kind)}
    with suppress(DataError):
        event_of({"event": kind.__name__, **record})


def test_an_error_without_problems_is_no_record():
    with pytest.raises(DataError):
        error_of({"error": "DataError", "problems": []})
