"""What an evaluation found: base against tuned on the same rows, frozen, with what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lorasdk.errors import Problem

Verdict: TypeAlias = Literal["better", "worse", "no evidence"]
"""What the interval of a difference says: it lies on one side of zero, or it holds zero."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a difference lies, by a paired bootstrap over rows."""

    low: float
    high: float
    confidence: float = 0.95
    """Share of such intervals that hold the true value."""


@dataclass(frozen=True, slots=True)
class Score:
    """One evaluator's aggregate for the untouched base and for the tuned model."""

    evaluator: str
    """Name of the evaluator; a second one of the same name is called ``name (2)``."""
    base: float
    """Aggregate of the base model's scores: their mean, unless the evaluator has another."""
    tuned: float
    """Aggregate of the scores with the adapter."""
    base_rows: tuple[float, ...]
    """Score of each row, base model."""
    tuned_rows: tuple[float, ...]
    """Score of each row, with the adapter."""
    higher_is_better: bool = True
    """Which way is up."""
    interval: Interval | None = None
    """Of ``tuned - base``."""
    p_value: float | None = None
    """Of McNemar's exact test, where every score is 0 or 1."""
    verdict: Verdict = "no evidence"
    """Whether tuned is better than base, judged by `interval` and `higher_is_better`."""
    rows_needed: int | None = None
    """Rows with which a difference of this size would show in four of five evaluations; None when it shows already."""

    @property
    def rows(self) -> int:
        """Rows that were scored: the test rows, or those that the evaluator brought."""
        return len(self.base_rows)

    @property
    def change(self) -> float:
        """Tuned minus base."""
        return self.tuned - self.base


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """One test row with both answers."""

    row: int
    """Row number in its source, from 1."""
    prompt: str
    """The turns before the answer; speakers are named where there is more than one turn."""
    reference: str
    """The row's own answer."""
    base: str
    """What the untouched base model says."""
    tuned: str
    """What it says with the adapter."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A way to answer without a language model, learnt from the training rows and scored on the test rows."""

    name: str
    """``majority`` (the most frequent label) or ``bag of words`` (naive Bayes over words)."""
    accuracy: float
    """Share of right labels."""
    interval: Interval
    """Of the tuned model's accuracy minus this one."""
    verdict: Verdict
    """Whether the tuned model beats it."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One label."""

    label: str
    rows: int
    """Test rows whose reference it is."""
    base: float
    """Share of them that the base model labels right."""
    tuned: float
    """Share of them that the tuned model labels right."""


@dataclass(frozen=True, slots=True)
class LabelReport:
    """Where references are few and repeat, they are labels: what happened to each, and what needs no model at all."""

    classes: tuple[ClassScore, ...]
    """By falling number of rows."""
    base_confusion: tuple[tuple[int, ...], ...]
    """Rows by reference and given label, in the order of `classes`; the last column counts what is no label."""
    tuned_confusion: tuple[tuple[int, ...], ...]
    """The same with the adapter."""
    baselines: tuple[Baseline, ...]
    """What the tuned model has to beat."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Test rows that ask what a training row asks."""

    rows: int
    """How many."""
    share: float
    """Of all test rows, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """How far the tuned model has moved away from the base on general prompts that have nothing to do with the task."""

    prompts: int
    """How many."""
    divergence: float
    """Kullback-Leibler divergence of the tuned model from the base, Σ p_base ln(p_base / p_tuned) per answer token, in
    nats: 0 when nothing changed."""
    base_perplexity: float
    """Of the base model's own answers to them."""
    tuned_perplexity: float
    """Of the same answers with the adapter."""
    bound: float | None = None
    """``evaluation.max_forgetting``, in nats per token."""
    prompt_set: str = ""
    """Version and digest of the prompts, such as ``1:0f3a…``: measures on different ones do not compare."""

    @property
    def within(self) -> bool:
        """Whether the bound, if there is one, is kept."""
        return self.bound is None or self.divergence <= self.bound


@dataclass(frozen=True, slots=True)
class EvalReport:
    """Base against tuned on the same held-out rows."""

    rows: int
    """How many test rows were scored."""
    scores: tuple[Score, ...]
    """One per evaluator, in the recipe's order."""
    seconds: float
    """Duration."""
    failures: tuple[Problem, ...] = ()
    """Evaluators that failed, and why; they have no score."""
    answers: tuple[AnswerPair, ...] = ()
    """Both answers of each row, where an evaluator asked for answers."""
    labels: LabelReport | None = None
    """Where the references are labels."""
    overlap: Overlap | None = None
    """With the training rows, where these are known."""
    forgetting: Forgetting | None = None
    """What else has changed."""

    def __str__(self) -> str:
        width = max([len("evaluator"), *(len(score.evaluator) for score in self.scores)])
        head = f"{'evaluator':<{width}}    base   tuned   change   ({self.rows} rows)"
        lines = [
            f"{score.evaluator:<{width}}  {score.base:6.3f}  {score.tuned:6.3f}  {score.change:+7.3f}{_worth(score)}"
            for score in self.scores
        ]
        return "\n".join([head, *lines, *(f"failed: {problem}" for problem in self.failures)])


def _worth(score: Score) -> str:
    if score.interval is None:
        return ""
    needed = f", {score.rows_needed} rows needed" if score.rows_needed is not None else ""
    return f"   [{score.interval.low:+.3f}, {score.interval.high:+.3f}] {score.verdict}{needed}"
