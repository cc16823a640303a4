"""What the tests of this package need to have answers judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_judge import KEY, LocalJudge
from lorasdk_judge import JudgeOptions, LlmJudge

from lorasdk import AnswerScore, Completion, EvaluationContext, Example, Message


def example(row: int, question: str, reference: str) -> Example:
    return Example(row, (Message("user", question), Message("assistant", reference)))


ROWS = [example(1, "2 + 2?", "4"), example(2, "Capital of France?", "Paris"), example(3, "A colour?", "blue")]


@dataclass(frozen=True)
class Answers:
    """A predictor that knows its answers by the last turn."""

    known: Mapping[str, str] = field(default_factory=lambda: {"2 + 2?": "4", "Capital of France?": "London"})

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        return [Completion(self.known.get(prompt[-1].content, "?"), 1, 1, "stop") for prompt in prompts]

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        raise NotImplementedError


@dataclass
class Round:
    """Judges answers and remembers what was told."""

    judge: LocalJudge
    base_dir: Path = Path()
    label: str = "tuned"
    check_stop: Callable[[], None] = lambda: None
    told: list[tuple[str, str]] = field(default_factory=list)

    def score(
        self, rows: Sequence[Example] = ROWS, known: Mapping[str, str] | None = None, **options: object
    ) -> list[float]:
        chosen = {"model": "local", "base_url": self.judge.url, "api_key": KEY, "attempts": 1, **options}
        context = EvaluationContext(
            self.base_dir, "recipe.yaml:9:5", self.label, lambda *notice: self.told.append(notice), self.check_stop
        )
        predictor = Answers() if known is None else Answers(known)
        return LlmJudge().score(JudgeOptions.model_validate(chosen), rows, predictor, context)

    def notice(self, code: str) -> str:
        return dict(self.told)[code]
