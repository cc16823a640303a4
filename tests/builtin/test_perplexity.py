from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lorasdk.builtin.perplexity import Perplexity, PerplexityOptions
from lorasdk.contracts import EvaluationContext, Example, Message
from lorasdk.results import AnswerScore

CONTEXT = EvaluationContext(Path(), "", "base", lambda _code, _message: None, lambda: None)


@dataclass
class FakePredictor:
    scores: dict[tuple[str, str], AnswerScore]

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        return [self.scores[prompt[-1].content, answer] for prompt, answer in zip(prompts, answers, strict=True)]


def score(*scores: AnswerScore) -> list[float]:
    examples = [
        Example(i, (Message("user", f"q{i}"), Message("assistant", f"a{i}"))) for i, _ in enumerate(scores, start=1)
    ]
    known = {(f"q{i}", f"a{i}"): score for i, score in enumerate(scores, start=1)}
    return Perplexity().score(PerplexityOptions(), examples, FakePredictor(known), CONTEXT)


def test_a_row_scores_the_inverse_of_the_geometric_mean_of_its_tokens_chances():
    assert score(AnswerScore(math.log(0.5 * 0.125), 2), AnswerScore(0.0, 3)) == pytest.approx([4.0, 1.0])


def test_an_answer_that_cannot_be_is_still_a_number():
    (worst,) = score(AnswerScore(-math.inf, 2))
    assert math.isfinite(worst)


def test_one_answer_out_of_the_question_does_not_drown_the_others():
    assert Perplexity().aggregate([1.0, 1.0, 1.0, 10_000.0]) == pytest.approx(10.0)


def test_less_is_better():
    assert not Perplexity.higher_is_better
