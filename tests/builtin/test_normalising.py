from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scored import one

from lorasdk.builtin.exact_match import ExactMatch, ExactMatchOptions
from lorasdk.builtin.normalising import normalised


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        ("none", " A\n", " A\n"),
        ("space", " A \n b ", "A b"),
        ("space", "　你　好 ", "你 好"),
        ("case", " Straße. ", "strasse"),
        ("case", "是的。", "是的"),
        ("punctuation", "well-known, (really): “yes”!", "wellknown really yes"),
        ("punctuation", "“你好，世界！”", "你好世界"),
        ("articles", "The cat saw an ant in theatre A", "cat saw ant in theatre"),
        ("width", "ＡＢＣ－１２３　①", "ABC-123 ①"),
        ("nfkc", "ＡＢＣ ① ﬁ x²", "ABC 1 fi x2"),
        ("squad", "The Eiffel Tower, in Paris.", "eiffel tower in paris"),
    ],
)
def test_a_step_makes_alike_what_it_says(how: str, before: str, after: str):
    assert normalised(before, how) == after


def test_steps_are_applied_in_their_order():
    assert normalised("ＹＥＳ．", ("width", "case")) == "yes"
    assert normalised("ＹＥＳ．", ("case", "width")) == "yes."


def test_a_name_means_the_same_alone_and_in_a_list():
    assert one(ExactMatch(), " yes ", "Yes.", normalise="case") == one(
        ExactMatch(), " yes ", "Yes.", normalise=["case"]
    )


@pytest.mark.parametrize("how", ["upper", [], ["case", "upper"], 1])
def test_what_is_no_step_is_refused(how: object):
    with pytest.raises(ValidationError):
        ExactMatchOptions.model_validate({"normalise": how})


def test_full_width_answers_equal_narrow_ones_only_when_told():
    assert one(ExactMatch(), "型号ＡＢ－１", "型号AB-1") == 0
    assert one(ExactMatch(), "型号ＡＢ－１", "型号AB-1", normalise=["width", "case"]) == 1


def squads_own(text: str) -> str:
    """`normalize_answer` of SQuAD's evaluate-v1.1.py."""
    text = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


@given(st.text(string.printable) | st.text(st.sampled_from("The aAn .,-'\n")))
def test_squad_is_squads_own_on_ascii(text: str):
    assert normalised(text, "squad") == squads_own(text)
