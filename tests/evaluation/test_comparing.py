from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lorasdk.builtin.exact_match import ExactMatch, ExactMatchOptions
from lorasdk.contracts import EvaluationContext, Example, Message
from lorasdk.errors import DataError, Problem
from lorasdk.eval_report import EvalReport
from lorasdk.evaluation.comparing import compare, no_score
from lorasdk.evaluation.remembering import RememberingPredictor
from lorasdk.evaluation.scoring import Subject
from lorasdk.events import Notice
from lorasdk.resolving import BoundEvaluator
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


def bound(evaluator=None, **options: str) -> BoundEvaluator:
    return BoundEvaluator(
        evaluator or ExactMatch(), ExactMatchOptions.model_validate(options), Path(), "recipe.yaml:9:5"
    )


def compared(*evaluators: BoundEvaluator, base, tuned, events: list | None = None) -> EvalReport:
    emit = (events if events is not None else []).append
    each = [Subject(name, p, EXAMPLES, emit, lambda: None) for name, p in (("base", base), ("tuned", tuned))]
    return compare(evaluators, base=each[0], tuned=each[1])


def test_base_and_tuned_are_scored_row_by_row():
    base, tuned = FakePredictor(["no", "yes", "no", "no"]), FakePredictor(["yes", " YES. ", "no", "Yes."])
    report = compared(bound(), base=base, tuned=tuned)
    (score,) = report.scores
    assert (score.base, score.tuned, score.tuned_rows) == (0.25, 0.75, (1.0, 1.0, 0.0, 1.0))
    assert "0.250   0.750   +0.500" in str(report)


@pytest.mark.parametrize(("how", "right"), [("none", [0, 0, 1]), ("space", [0, 1, 1]), ("case", [1, 1, 1])])
def test_exact_match_normalises_as_told(how: str, right: list[int]):
    predictor = FakePredictor(["yes", " Yes. ", "Yes."])
    context = EvaluationContext(Path(), "", "base", lambda _code, _message: None, lambda: None)
    options = ExactMatchOptions.model_validate({"normalise": how})
    assert ExactMatch().score(options, EXAMPLES[:3], predictor, context) == right


def test_each_conversation_is_answered_once_however_many_evaluators_ask():
    predictor = FakePredictor(["yes"] * 4)
    compared(bound(), bound(normalise="none"), base=predictor, tuned=FakePredictor(["yes"] * 4))
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

    base, tuned = FakePredictor(["no", "yes", "no", "no"]), FakePredictor(["yes"] * 4)
    (score,) = compared(bound(Worst()), base=base, tuned=tuned).scores
    assert (score.base, score.tuned, score.base_rows) == (0, 1, (0, 1, 0, 0))


def test_each_answer_is_scored_once_however_often_it_is_asked_for():
    fake = FakePredictor([])
    predictor = RememberingPredictor(fake)
    one, two = ([Message("user", name)] for name in ("q1", "q2"))
    assert [s.log_probability for s in predictor.log_probabilities([one, two, one], ["a", "bb", "a"])] == [-1, -2, -1]
    assert [s.log_probability for s in predictor.log_probabilities([two, one], ["bb", "ccc"])] == [-2, -3]
    assert fake.asked == ["q1a", "q2bb", "q1ccc"]


def test_one_evaluator_with_two_settings_has_two_scores():
    base, tuned = FakePredictor(["no"] * 4), FakePredictor(["yes"] * 4)
    strict, lenient = compared(bound(normalise="none"), bound(), base=base, tuned=tuned).scores
    assert (strict.tuned, lenient.tuned) == (0, 1)
    assert (strict.evaluator, lenient.evaluator) == ("exact_match", "exact_match (2)")


class Scripted(ExactMatch):
    """Gives what it is told to, or raises it."""

    name = "scripted"

    def __init__(self, gives):
        self.gives = gives

    def score(self, options, examples, predictor, context):
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


@pytest.mark.parametrize(
    ("gives", "code"),
    [
        ([1.0], "plugin.wrong-number-of-scores"),
        ([1, 2, 3, float("nan")], "plugin.no-number"),
        ([1, 2, 3, "4 apples"], "plugin.no-number"),
        (ZeroDivisionError("no rows"), "plugin.evaluator-failed"),
        (DataError(Problem("data.foreign", "a row is wrong")), "data.foreign"),
    ],
)
def test_P90_an_evaluator_that_fails_costs_its_own_line_and_the_report_says_why(gives: object, code: str):
    report = compared(bound(Scripted(gives)), bound(), base=FakePredictor(["no"] * 4), tuned=FakePredictor(["yes"] * 4))
    assert [score.evaluator for score in report.scores] == ["exact_match"]
    assert [problem.code for problem in report.failures] == [code]
    assert code == "data.foreign" or "scripted" in str(report)


def test_when_every_evaluator_fails_the_report_has_no_score_but_the_reasons():
    broken = bound(Scripted(ZeroDivisionError("no rows")))
    report = compared(broken, broken, base=FakePredictor([]), tuned=FakePredictor([]))
    assert (report.scores, len(report.failures)) == ((), 2)
    assert report.failures[0].place == "recipe.yaml:9:5"
    error = no_score(report)
    assert error is not None
    assert error.code == "plugin.evaluator-failed"


def test_a_report_with_a_score_is_no_error():
    report = compared(bound(Scripted([1.0])), bound(), base=FakePredictor(["no"] * 4), tuned=FakePredictor(["no"] * 4))
    assert no_score(report) is None


def test_an_evaluator_may_bring_examples_of_its_own_and_say_things():
    class Benchmark(ExactMatch):
        name = "benchmark"

        def examples(self, options, context):
            return [Example(1, (Message("user", "q0"), Message("assistant", "four")))]

        def score(self, options, examples, predictor, context):
            context.notify("benchmark.asked", f"{context.label} {examples[0].reference}")
            return super().score(options, examples, predictor, context)

    events: list[object] = []
    base, tuned = FakePredictor(["no"]), FakePredictor(["four"])
    (score,) = compared(bound(Benchmark()), base=base, tuned=tuned, events=events).scores
    assert (score.rows, score.base, score.tuned) == (1, 0, 1)
    assert events == [Notice("benchmark.asked", "base four"), Notice("benchmark.asked", "tuned four")]
