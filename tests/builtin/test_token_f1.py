from __future__ import annotations

import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored import one

from lorasdk.builtin.token_f1 import TokenF1
from lorasdk.builtin.unspaced_scripts import tokens


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("The cat sat.", "a cat sat", 1),
        ("cat", "the cat sat down", 0.5),
        ("cat cat cat", "cat", 0.5),
        ("dog", "cat", 0),
        ("北京大学", "北京", 2 / 3),
        ("“北京。”", "北京", 1),
        ("我用Python写", "用Python", 2 / 3),
        ("", "cat", 0),
        ("cat", "", 0),
        ("The", "a", 1),
    ],
)
def test_shared_tokens_make_the_score(answer: str, reference: str, score: float):
    assert one(TokenF1(), answer, reference) == pytest.approx(score)


def test_normalisation_can_be_left_out():
    assert one(TokenF1(), "Cat", "cat", normalise="none") == 0


def test_tokens_are_words_and_characters_with_their_marks():
    assert tokens("我爱 Python3很多 สวัสดี ひらカ wörld") == [
        *("我", "爱", "Python3", "很", "多"),
        *("ส", "วั", "ส", "ดี", "ひ", "ら", "カ", "wörld"),
    ]


def squads_own(answer: list[str], reference: list[str]) -> float:
    """`f1_score` of SQuAD's evaluate-v1.1.py, after normalisation."""
    shared = sum((Counter(answer) & Counter(reference)).values())
    if shared == 0:
        return 0
    precision, recall = shared / len(answer), shared / len(reference)
    return 2 * precision * recall / (precision + recall)


WORDS = st.lists(st.sampled_from(["cat", "dog", "x1", "sat"]), min_size=1)


@given(WORDS, WORDS)
def test_it_is_squads_own_on_words(answer: list[str], reference: list[str]):
    assert one(TokenF1(), " ".join(answer), " ".join(reference)) == pytest.approx(squads_own(answer, reference))


@given(st.text(), st.text())
def test_any_texts_have_a_score_that_is_the_same_both_ways(answer: str, reference: str):
    score = one(TokenF1(), answer, reference)
    assert 0 <= score <= 1
    assert score == one(TokenF1(), reference, answer)
    assert one(TokenF1(), answer, answer) == 1


@given(st.text(string.ascii_letters + " \n\t"))
def test_english_tokens_are_what_white_space_separates(text: str):
    assert tokens(text) == text.split()
