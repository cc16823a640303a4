from dataclasses import dataclass, field

import pytest

from lorasdk.builtin.exact_match import ExactMatch, ExactMatchOptions
from lorasdk.contracts import Example, Message
from lorasdk.errors import PluginError
from lorasdk.evaluation.comparing import compare
from lorasdk.results import Completion

EXAMPLES = [Example(i, (Message("user", f"q{i}"), Message("assistant", "Yes."))) for i in range(4)]


@dataclass
class FakePredictor:
    answers: list[str]
    asked: list[str] = field(default_factory=list)

    def complete(self, prompts):
        self.asked += [prompt[-1].content for prompt in prompts]
        return [Completion(self.answers[int(prompt[-1].content[1:])], 1, 1, "stop") for prompt in prompts]


def chosen(**options: str):
    return (ExactMatch(), ExactMatchOptions.model_validate(options))


def test_base_and_tuned_are_scored_row_by_row():
    base, tuned = FakePredictor(["no", "yes", "no", "no"]), FakePredictor(["yes", " YES. ", "no", "Yes."])
    report = compare(EXAMPLES, [chosen()], base=base, tuned=tuned)
    (score,) = report.scores
    assert (score.base, score.tuned, score.tuned_rows) == (0.25, 0.75, (1.0, 1.0, 0.0, 1.0))
    assert "0.250   0.750   +0.500" in str(report)


@pytest.mark.parametrize(("how", "right"), [("none", [0, 0, 1]), ("space", [0, 1, 1]), ("case", [1, 1, 1])])
def test_exact_match_normalises_as_told(how: str, right: list[int]):
    predictor = FakePredictor(["yes", " Yes. ", "Yes."])
    evaluator, options = chosen(normalise=how)
    assert evaluator.score(options, EXAMPLES[:3], predictor) == right


def test_each_conversation_is_answered_once_however_many_evaluators_ask():
    predictor = FakePredictor(["yes"] * 4)
    compare(EXAMPLES, [chosen(), chosen(normalise="none")], base=predictor, tuned=FakePredictor(["yes"] * 4))
    assert predictor.asked == ["q0", "q1", "q2", "q3"]


def test_an_evaluator_with_too_few_scores_is_named():
    class Broken(ExactMatch):
        name = "broken"

        def score(self, options, examples, predictor):
            return [1.0]

    with pytest.raises(PluginError, match="broken"):
        compare(EXAMPLES, [(Broken(), None)], base=FakePredictor([]), tuned=FakePredictor([]))
