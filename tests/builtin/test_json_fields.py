from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scored import one, scored

from lorasdk.builtin.json_fields import JsonFields, JsonFieldsOptions
from lorasdk.errors import DataError

REFERENCE = '{"city": "Oslo", "rooms": 3, "price": 12.5, "pets": null}'


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (REFERENCE, 1),
        ('{"pets": null, "price": 12.50, "rooms": 3.0, "city": "Oslo"}', 1),
        ('{"city": "oslo", "rooms": 3, "price": 12.5}', 0.5),
        ('{"city": "Oslo", "rooms": "3", "price": true, "pets": false}', 0.25),
        ("{}", 0),
        ("[1]", 0),
        ("Oslo", 0),
        ("", 0),
        ('{"city": "Oslo", "price": NaN}', 0),
        ('{"city": "Oslo"', 0),
        ("[" * 100_000, 0),
        ('{"city": "Oslo", "rooms": ' + "9" * 5000 + "}", 0),
    ],
)
def test_the_score_is_the_share_of_right_fields(answer: str, score: float):
    assert one(JsonFields(), answer, REFERENCE) == score


def test_chinese_fields_and_values_are_compared_like_any_other():
    reference = '{"城市": "北京", "人口": 2189}'
    assert one(JsonFields(), '{"城市": "上海", "人口": 2189}', reference) == 0.5
    assert one(JsonFields(), '{"\\u57ce市": "北京", "人口": 2189}', reference) == 1


BARE, FENCED = '{"a": 1}', '```json\n{"a": 1}\n```\n'
AROUND, INSIDE = 'Here you are: {"a": 1}. {"a": 2}', 'Sure!\n```\n{"a": 1}\n```'


@pytest.mark.parametrize(
    ("where", "scores"), [("answer", [1, 0, 0, 0]), ("fence", [1, 1, 0, 0]), ("anywhere", [1] * 4)]
)
def test_where_the_json_may_stand_is_chosen(where: str, scores: list[float]):
    assert scored(JsonFields(), [(text, BARE) for text in (BARE, FENCED, AROUND, INSIDE)], where=where) == scores


def test_braces_that_begin_no_json_are_passed_over():
    assert one(JsonFields(), 'so {this} is {"a": 1}', BARE, where="anywhere") == 1
    assert one(JsonFields(), '{"a":' * 3000, BARE, where="anywhere") == 0


NESTED = '{"address": {"city": "Oslo", "zip": "0150"}, "items": [{"price": 5}, {"price": 7}], "note": "x"}'


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        (["address.city"], 1),
        (["address.zip"], 0),
        (["address"], 0),
        (["items.1.price", "items.0.price"], 0.5),
        (["items.0", "address.city", "note"], 2 / 3),
    ],
)
def test_named_fields_are_compared_alone(fields: list[str], score: float):
    answer = '{"address": {"city": "Oslo", "zip": "1"}, "items": [{"price": 5}, {"price": 8}]}'
    assert one(JsonFields(), answer, NESTED, fields=fields) == pytest.approx(score)


def test_a_field_that_neither_side_has_is_right():
    pairs = [('{"a": 1}', '{"a": 1}'), ('{"a": 1, "b": 2}', '{"a": 1}'), ('{"a": 1}', '{"a": 1, "b": 2}')]
    assert scored(JsonFields(), pairs, fields=["b"]) == [1, 0, 0]


@pytest.mark.parametrize(("tolerance", "score"), [(0.0, 0), (0.05, 0), (0.1, 1)])
def test_numbers_may_differ_by_the_tolerance(tolerance: float, score: float):
    assert one(JsonFields(), '{"a": [0.4]}', '{"a": [0.3]}', tolerance=tolerance) == score
    assert one(JsonFields(), '{"a": "0.4"}', '{"a": 0.3}', tolerance=tolerance) == 0
    assert one(JsonFields(), '{"a": 1' + "0" * 400 + "}", '{"a": 0.5}', tolerance=tolerance) == 0


def test_extra_fields_count_when_told():
    answer = '{"a": 1, "b": 2, "c": 3}'
    assert one(JsonFields(), answer, '{"a": 1}') == 1
    assert one(JsonFields(), answer, '{"a": 1}', extra_fields_count=True) == pytest.approx(1 / 3)
    assert one(JsonFields(), "{}", "{}", extra_fields_count=True) == 1
    assert one(JsonFields(), BARE, "{}", extra_fields_count=True) == 0


def test_texts_are_normalised_as_told():
    assert one(JsonFields(), '{"a": ["ＯＳＬＯ"]}', '{"a": ["Oslo"]}', normalise=["width", "case"]) == 1


def test_rows_whose_reference_is_no_object_are_named():
    with pytest.raises(DataError) as caught:
        scored(JsonFields(), [("{}", BARE), ("{}", "Oslo"), ("{}", "[1]"), ("{}", FENCED)])
    assert [(p.code, p.place) for p in caught.value.problems] == [
        ("data.reference-not-json", f"row {row}") for row in (2, 3, 4)
    ]


def test_a_field_that_no_row_has_is_misspelt():
    with pytest.raises(DataError) as caught:
        scored(JsonFields(), [("{}", NESTED)], fields=["note", "adress.city"])
    (problem,) = caught.value.problems
    assert (problem.code, problem.found) == ("data.unknown-field", "adress.city")
    assert "address" in problem.allowed


@pytest.mark.parametrize(
    "options", [{"fields": []}, {"fields": ["a..b"]}, {"tolerance": -1.0}, {"tolerance": float("nan")}, {"where": "x"}]
)
def test_options_out_of_range_are_refused(options: dict[str, object]):
    with pytest.raises(ValidationError):
        JsonFieldsOptions.model_validate(options)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.sampled_from(["{}", "```json\n{}\n```", "so: {} done"]))
def test_every_object_equals_itself_however_it_is_written(value: dict[str, object], around: str):
    answer = around.replace("{}", json.dumps(value, indent=1, sort_keys=True))
    where = "anywhere" if "so" in around else "fence"
    assert one(JsonFields(), answer, json.dumps(value, ensure_ascii=False), where=where, extra_fields_count=True) == 1


@given(st.text(st.sampled_from('{}[]",:`\n 1eE-.truefalsn')), st.sampled_from(["answer", "fence", "anywhere"]))
def test_whatever_is_answered_has_a_score(answer: str, where: str):
    assert 0 <= one(JsonFields(), answer, REFERENCE, where=where, tolerance=1.0) <= 1
