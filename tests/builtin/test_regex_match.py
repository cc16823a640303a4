from __future__ import annotations

import time

import pytest
from pydantic import ValidationError
from scored import CONTEXT, one, scored

from lorasdk import FineTuner
from lorasdk.builtin import pattern_limits
from lorasdk.builtin.regex_match import Regex, RegexOptions
from lorasdk.errors import DataError, PluginError, RecipeError

LAST_NUMBER = r"(-?\d+(?:\.\d+)?)"


def test_the_answer_matches_somewhere_or_as_a_whole():
    pairs = [("on 2024-05-06", ""), (" 2024-05-06\n", ""), ("soon", "")]
    pattern = r"\d{4}-\d{2}-\d{2}"
    assert scored(Regex(), pairs, pattern=pattern) == [1, 1, 0]
    assert scored(Regex(), pairs, pattern=pattern, how="whole") == [0, 1, 0]


def test_flags_stand_inside_of_a_pattern_also_where_the_whole_answer_must_match():
    assert one(Regex(), "YES", "", pattern="(?ix) yes # or more", how="whole") == 1


@pytest.mark.parametrize(("take", "score"), [("last", 1), ("first", 0)])
def test_the_first_or_the_last_match_is_compared(take: str, score: float):
    assert one(Regex(), "3 and 4 make 7.", "7", pattern=LAST_NUMBER, how="extract", take=take) == score


@pytest.mark.parametrize(("group", "score"), [(None, 1), (1, 1), ("unit", 0), (0, 0)])
def test_a_group_is_compared(group: object, score: float):
    pattern = r"(\d+) ?(?P<unit>\w*)"
    assert one(Regex(), "5 kg", "5 g", pattern=pattern, how="extract", group=group) == score


def test_without_groups_the_match_is_compared_normalised_as_told():
    pattern = r"答案[是：]\w+"
    assert one(Regex(), "所以答案是Ａ", "答案是A", pattern=pattern, how="extract") == 0
    assert one(Regex(), "所以答案是Ａ", "答案是A", pattern=pattern, how="extract", normalise="width") == 1


def test_an_answer_without_a_match_is_wrong_and_references_without_one_are_named():
    assert one(Regex(), "no idea", "7", pattern=r"\d", how="extract") == 0
    with pytest.raises(DataError) as caught:
        scored(Regex(), [("7", "seven"), ("7", "7"), ("7", "")], pattern=r"\d", how="extract")
    assert [(p.code, p.place) for p in caught.value.problems] == [
        ("data.reference-not-matched", "row 1"),
        ("data.reference-not-matched", "row 3"),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pattern": "(a"}, "missing \\) at position 2"),
        ({"pattern": "a" * 1001}, "1001 characters"),
        ({"pattern": "((((((a){9}){9}){9}){9}){9}){9}"}, "too many copies"),
        ({"pattern": "(?:ab){1000000000}"}, "too many copies"),
        ({"pattern": r"a(?R)?b"}, "calls itself"),
        ({"pattern": r"\\(?1)?"}, "calls itself"),
        ({"pattern": "a(?P<n>b)", "group": 2}, "it has 0, 1, n"),
        ({"pattern": "a(?P<n>b)", "group": "m"}, "no group 'm'"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(options: dict[str, object], says: str):
    with pytest.raises(ValidationError, match=says):
        RegexOptions.model_validate(options)


@pytest.mark.parametrize("pattern", [r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", r"\(?R\d", r"(?P<r>a)(?P=r)"])
def test_harmless_patterns_are_not_taken_for_dangerous_ones(pattern: str):
    RegexOptions.model_validate({"pattern": pattern})


def test_a_pattern_that_does_not_compile_is_told_with_its_place(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "name: x\nevaluation:\n  evaluators:\n    - name: regex\n      pattern: '(a'\n"
    )
    with pytest.raises(RecipeError) as caught:
        FineTuner.from_recipe(tmp_path / "recipe.yaml", data={"train": []}, discover=False)
    (problem,) = caught.value.problems
    assert problem.place == f"{tmp_path / 'recipe.yaml'}:5:16"
    assert problem.field == "evaluation.evaluators.0.pattern"
    assert "missing )" in problem.message


@pytest.mark.parametrize("options", [{}, {"how": "whole"}, {"how": "extract", "take": "last"}])
def test_a_pattern_without_an_end_is_an_error_and_no_score(options: dict[str, str], monkeypatch):
    monkeypatch.setattr(pattern_limits, "SECONDS", 0.05)
    began = time.perf_counter()
    with pytest.raises(PluginError) as caught:
        one(Regex(), "ab" * 5000 + "!", "c", pattern="^(?:(?:a|b|ab)*)*c?$|c", **options)
    assert time.perf_counter() - began < 5
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("evaluation.slow-pattern", CONTEXT.place)
    assert "row 1" in problem.message
