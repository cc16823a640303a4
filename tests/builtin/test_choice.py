from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from lorasdk.builtin.choice import MOST_LABELS, Choice, ChoiceOptions
from lorasdk.contracts import EvaluationContext, Example, Message
from lorasdk.errors import DataError
from lorasdk.results import AnswerScore

CONTEXT = EvaluationContext(Path(), "", "base", lambda _code, _message: None, lambda: None)


@dataclass
class FakePredictor:
    """Finds each answer as likely as the table says, whatever the prompt, but for the prompts that have their own."""

    nats: Mapping[str, tuple[float, int]]
    own: Mapping[str, Mapping[str, tuple[float, int]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        pairs = [(prompt[-1].content, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        self.asked += pairs
        return [AnswerScore(*{**self.nats, **self.own.get(prompt, {})}[answer]) for prompt, answer in pairs]


def examples(*references: str) -> list[Example]:
    return [
        Example(i, (Message("user", f"q{i}"), Message("assistant", text))) for i, text in enumerate(references, start=1)
    ]


def score(references: Sequence[str], predictor: FakePredictor, **options: object) -> list[float]:
    return Choice().score(ChoiceOptions.model_validate(options), examples(*references), predictor, CONTEXT)


def test_the_likeliest_label_is_compared_with_the_reference():
    predictor = FakePredictor({"yes": (-2, 2), "no": (-1, 2)}, own={"q3": {"yes": (-0.5, 2)}})
    assert score(["yes", "no", "yes"], predictor) == [0, 1, 1]


def test_labels_are_the_references_in_their_order_and_each_is_asked_after_each_prompt():
    predictor = FakePredictor({"b": (-1, 1), "a": (-1, 1)})
    assert score(["b", "a", "b"], predictor) == [1, 0, 1]
    assert predictor.asked == [(f"q{i}", label) for i in (1, 2, 3) for label in ("b", "a")]


def test_given_labels_compete_though_no_row_has_them():
    predictor = FakePredictor({"yes": (-2, 2), "no": (-3, 2), "maybe": (-1, 2)})
    assert score(["yes", "no"], predictor, labels=["yes", "no", "maybe"]) == [0, 0]


def test_a_length_normalised_choice_compares_tokens():
    predictor = FakePredictor({"long": (-3, 6), "short": (-2, 2)})
    assert score(["long", "short"], predictor) == [0, 1]
    assert score(["long", "short"], predictor, length_normalised=True) == [1, 0]


def test_all_references_outside_of_the_labels_are_named_by_row():
    with pytest.raises(DataError) as caught:
        score(["yes", "ja", "no", "nein"], FakePredictor({}), labels=["yes", "no"])
    assert [(p.code, p.place, p.found) for p in caught.value.problems] == [
        ("data.unknown-label", "row 2", "'ja'"),
        ("data.unknown-label", "row 4", "'nein'"),
    ]
    assert "'yes', 'no'" in str(caught.value)


@pytest.mark.parametrize("count", [1, MOST_LABELS + 1])
def test_references_that_are_no_closed_set_are_refused(count: int):
    with pytest.raises(DataError) as caught:
        score([f"answer {i}" for i in range(count)], FakePredictor({}))
    assert caught.value.code == "data.not-labels"
    assert "labels: [...]" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_as_many_labels_as_are_allowed_are_taken():
    references = [f"label {i}" for i in range(MOST_LABELS)]
    assert sum(score(references, FakePredictor(dict.fromkeys(references, (-1.0, 1))))) == 1


def test_one_label_is_no_choice():
    with pytest.raises(ValidationError):
        ChoiceOptions.model_validate({"labels": ["yes"]})
