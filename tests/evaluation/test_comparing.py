from dataclasses import dataclass, field

import pytest

from lorasdk.builtin.exact_match import ExactMatch, ExactMatchOptions
from lorasdk.contracts import Example, Message
from lorasdk.errors import PluginError
from lorasdk.evaluation.comparing import RememberingPredictor, compare
from lorasdk.results import AnswerScore, Completion

EXAMPLES = [Example(i, (Message("user", f"q{i}"), Message("assistant", "Yes."))) for i in range(4)]


@dataclass
class FakePredictor:
    answers: list[str]
    asked: list[str] = field(default_factory=list)

    def complete(self, prompts):
        self.asked += [prompt[-1].content for prompt in prompts]
        return [Completion(self.answers[int(prompt[-1].content[1:])], 1, 1, "stop") for prompt in prompts]

    def log_probabilities(self, prompts, answers):
        self.asked += [prompt[-1].content + answer for prompt, answer in zip(prompts, answers, strict=True)]
        return [AnswerScore(-float(len(answer)), 1) for answer in answers]


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


def test_conversations_with_tool_calls_are_told_apart():
    fake = FakePredictor(["no"] * 2)
    predictor = RememberingPredictor(fake)
    calls = [({"name": "weather", "arguments": {"place": place}},) for place in ("Oslo", "Rome", "Oslo")]
    prompts = [(Message("assistant", "", tool_calls=call), Message("tool", "q1")) for call in calls]
    predictor.complete(prompts)
    predictor.log_probabilities(prompts, ["a"] * 3)
    assert fake.asked == ["q1", "q1", "q1a", "q1a"]


def test_an_evaluator_with_an_aggregate_of_its_own_is_asked_for_it():
    class Worst(ExactMatch):
        name = "worst"

        def aggregate(self, scores):
            return min(scores)

    _, options = chosen()
    base, tuned = FakePredictor(["no", "yes", "no", "no"]), FakePredictor(["yes"] * 4)
    (score,) = compare(EXAMPLES, [(Worst(), options)], base=base, tuned=tuned).scores
    assert (score.base, score.tuned, score.base_rows) == (0, 1, (0, 1, 0, 0))


def test_each_answer_is_scored_once_however_often_it_is_asked_for():
    fake = FakePredictor([])
    predictor = RememberingPredictor(fake)
    one, two = ([Message("user", name)] for name in ("q1", "q2"))
    assert [s.log_probability for s in predictor.log_probabilities([one, two, one], ["a", "bb", "a"])] == [-1, -2, -1]
    assert [s.log_probability for s in predictor.log_probabilities([two, one], ["bb", "ccc"])] == [-2, -3]
    assert fake.asked == ["q1a", "q2bb", "q1ccc"]


def test_an_evaluator_with_too_few_scores_is_named():
    class Broken(ExactMatch):
        name = "broken"

        def score(self, options, examples, predictor):
            return [1.0]

    with pytest.raises(PluginError, match="broken"):
        compare(EXAMPLES, [(Broken(), None)], base=FakePredictor([]), tuned=FakePredictor([]))
