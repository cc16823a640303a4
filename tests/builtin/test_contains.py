from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from scored import one, scored

from lorasdk.builtin.contains import Contains, ContainsOptions
from lorasdk.builtin.normalising import normalised
from lorasdk.errors import DataError


def test_the_reference_is_searched_for_in_the_answer():
    assert scored(Contains(), [("It is Paris, France.", "paris"), ("It is Rome.", "Paris")]) == [1, 0]


def test_chinese_is_searched_for_without_borders_of_words():
    assert scored(Contains(), [("首都是北京市。", "北京"), ("首都是上海。", "北京")]) == [1, 0]


@pytest.mark.parametrize(
    ("answer", "reference", "found"),
    [
        ("I know", "no", False),
        ("no, I know", "no", True),
        ("I know, no", "no", True),
        ("15 apples", "5", False),
        ("答案是5个", "5", True),
        ("用Python写", "python", True),
        ("cafés", "café", False),
        ("C++ is", "c++", True),
    ],
)
def test_words_are_found_whole(answer: str, reference: str, found: bool):
    assert one(Contains(), answer, reference) == found


def test_parts_of_words_are_found_when_told():
    assert one(Contains(), "I know", "no", whole_words=False) == 1


HOW = st.sampled_from(["none", "space", "case", "width", "nfkc"])


@given(st.text(), st.text(min_size=1), st.text(), HOW)
def test_what_stands_between_spaces_is_always_found(before: str, reference: str, after: str, how: str):
    assume(normalised(reference, how).strip())
    assert one(Contains(), f"{before} {reference} {after}", reference, normalise=how) == 1


@pytest.mark.parametrize(("need", "score"), [("all", 0), ("any", 1)])
def test_given_texts_are_all_needed_or_one(need: str, score: float):
    assert one(Contains(), "退款将在三天内到账", "irrelevant", texts=["退款", "客服"], need=need) == score
    assert one(Contains(), "客服会处理退款", "irrelevant", texts=["退款", "客服"], need=need) == 1


def test_rows_with_nothing_to_find_are_named_before_anything_is_answered():
    with pytest.raises(DataError) as caught:
        scored(Contains(), [("a", "yes"), ("a", " . "), ("a", "。")])
    assert [(p.code, p.place) for p in caught.value.problems] == [
        ("data.nothing-to-find", "row 2"),
        ("data.nothing-to-find", "row 3"),
    ]


def test_a_given_text_of_which_nothing_is_left_is_refused():
    with pytest.raises(ValidationError, match="nothing is left of '!'"):
        ContainsOptions.model_validate({"texts": ["yes", "!"], "normalise": "punctuation"})
