"""What the tests of this package need to have answers judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_judge import KEY, LocalJudge
from lorasdk_judge import JudgeOptions, LlmJudge

from lorasdk import EvaluationContext, Example, Message
from lorasdk.testing import FakePredictor


def example(row: int, question: str, reference: str) -> Example:
    return Example(row, (Message("user", question), Message("assistant", reference)))


ROWS = [example(1, "2 + 2?", "4"), example(2, "Capital of France?", "Paris"), example(3, "A colour?", "blue")]


ANSWERS = {"2 + 2?": "4", "Capital of France?": "London", "A colour?": "?"}


@dataclass
class Round:
    """Judges answers and remembers what was told."""

    judge: LocalJudge
    base_dir: Path = Path()
    label: str = "tuned"
    check_stop: Callable[[], None] = lambda: None
    told: list[tuple[str, str]] = field(default_factory=list)

    def score(
        self, rows: Sequence[Example] = ROWS, answers: Mapping[str, str] = ANSWERS, **options: object
    ) -> list[float]:
        chosen = {"model": "local", "base_url": self.judge.url, "api_key": KEY, "attempts": 1, **options}
        context = EvaluationContext(
            self.base_dir, "recipe.yaml:9:5", self.label, lambda *notice: self.told.append(notice), self.check_stop
        )
        return LlmJudge().score(JudgeOptions.model_validate(chosen), rows, FakePredictor(answers), context)

    def notice(self, code: str) -> str:
        return dict(self.told)[code]
