"""A predictor that answers as told and remembers what it was asked, and a context that remembers notices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorasdk_lm_eval.evaluator import LmEval
from lorasdk_lm_eval.options import LmEvalOptions

from lorasdk import AnswerScore, Completion, EvaluationContext, Message

TOY_TASKS = Path(__file__).parent / "toy_tasks"


@dataclass
class FakePredictor:
    """Finds `likely` answers likelier than others, and answers with `texts` by what the last turn contains."""

    likely: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    tokens: int = 3
    finish_reason: str = "stop"
    asked: list[str] = field(default_factory=list)
    prompts: list[Sequence[Message]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        self.asked.append("complete")
        self.prompts += prompts
        found = [next(a for q, a in self.texts.items() if q in prompt[-1].content) for prompt in prompts]
        return [Completion(text, 9, self.tokens, self.finish_reason) for text in found]

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        self.asked.append("log_probabilities")
        self.prompts += prompts
        self.answers += answers
        return [
            AnswerScore(-1.0, 2, greedy=True) if answer in self.likely else AnswerScore(-5.0, 2) for answer in answers
        ]


@dataclass
class Heard:
    """What an evaluator announced."""

    notices: list[tuple[str, str]] = field(default_factory=list)

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.notices]

    def context(self, base_dir: Path = TOY_TASKS.parent, *, check_stop: Callable[[], None] = lambda: None):
        return EvaluationContext(
            base_dir=base_dir,
            place="recipe.yaml:9:5",
            label="base",
            notify=lambda code, sentence: self.notices.append((code, sentence)),
            check_stop=check_stop,
        )


def options(*tasks: str, **more: object) -> LmEvalOptions:
    return LmEvalOptions.model_validate({"tasks": tasks, "include_path": "toy_tasks", **more})


def scores(asked: LmEvalOptions, predictor: FakePredictor, heard: Heard | None = None, **more: object) -> list[float]:
    evaluator, context = LmEval(), (heard or Heard()).context(**more)
    return evaluator.score(asked, evaluator.examples(asked, context), predictor, context)
