"""Which answers a page shows: first the rows that flipped, both ways, then some of those that did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, TypeAlias

from lorasdk.eval_report import AnswerPair, EvalReport, Score
from lorasdk.report.differences import ShownText, compared, shortened

MOST = 20
"""Answers on a page."""
FEWEST_TO_SHARE, WORTH_SAYING_ONCE = 2, 40
"""Prompts that share a beginning, and its characters."""
FLIPPED = 8
"""Of each way, at most, as long as others are left."""

Fate: TypeAlias = Literal["lost", "gained", "wrong", "right", "worse", "improved", "equal"]
"""What became of a row: right before and wrong now, the other way round, wrong or right both times; or, where scores
are no yes and no, a lower, a higher or the same score."""
ORDER: tuple[Fate, ...] = ("lost", "gained", "worse", "improved", "wrong", "equal", "right")

FATES: Mapping[tuple[float, float], Fate] = {
    (1.0, 0.0): "lost",
    (0.0, 1.0): "gained",
    (0.0, 0.0): "wrong",
    (1.0, 1.0): "right",
}
"""Of rows that are scored with yes and no."""


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One row with both answers, marked."""

    row: int
    fate: Fate
    prompt: ShownText
    reference: ShownText
    base: ShownText
    tuned: ShownText
    same: bool
    """Whether both answers are the same text."""


@dataclass(frozen=True, slots=True)
class ShownAnswers:
    """What a page shows, and out of how many."""

    shown: tuple[ShownAnswer, ...]
    rows: int
    gained: int
    """Rows that were wrong and are right, of all rows."""
    lost: int
    """Rows that were right and are wrong."""
    beginning: ShownText | None
    """What all these prompts begin with, when it is long; said once and left out of each."""
    evaluator: str | None
    """By whose scores; None when there are none for these rows."""


def choose_answers(report: EvalReport) -> ShownAnswers:
    """Pick rows, judged by the first evaluator that scored the answers' rows."""
    answers = report.answers
    score = _judge(report.scores, len(answers))
    fates = [_fate(score, row) for row in range(len(answers))]
    by_fate = {fate: [answers[i] for i, each in enumerate(fates) if each == fate] for fate in ORDER}
    first = [(fate, pair) for fate in ORDER[:4] for pair in by_fate[fate][:FLIPPED]]
    rest = chain.from_iterable(((fate, pair) for pair in _left(fate, by_fate[fate])) for fate in _unflipped_first())
    chosen = [*first, *islice(rest, MOST - len(first))]
    chosen.sort(key=lambda each: ORDER.index(each[0]))
    beginning = shared_beginning([pair.prompt for _, pair in chosen])
    return ShownAnswers(
        shown=tuple(_shown(fate, pair, len(beginning)) for fate, pair in chosen),
        rows=len(answers),
        gained=len(by_fate["gained"]),
        lost=len(by_fate["lost"]),
        beginning=shortened(beginning.strip()) if beginning else None,
        evaluator=None if score is None else score.evaluator,
    )


def _unflipped_first() -> tuple[Fate, ...]:
    return (*ORDER[4:], *ORDER[:4])


def _left(fate: Fate, pairs: Sequence[AnswerPair]) -> Sequence[AnswerPair]:
    return pairs[FLIPPED:] if fate in ORDER[:4] else pairs


def _judge(scores: Sequence[Score], rows: int) -> Score | None:
    fitting = [score for score in scores if score.rows == rows]
    binary = [score for score in fitting if set(score.base_rows + score.tuned_rows) <= {0.0, 1.0}]
    return next(iter([*binary, *fitting]), None)


def _fate(score: Score | None, row: int) -> Fate:
    if score is None:
        return "equal"
    base, tuned = score.base_rows[row], score.tuned_rows[row]
    if {base, tuned} <= {0.0, 1.0} and score.higher_is_better:
        return FATES[base, tuned]
    if base == tuned:
        return "equal"
    return "improved" if (tuned > base) == score.higher_is_better else "worse"


def shared_beginning(prompts: Sequence[str]) -> str:
    """The whole lines that all prompts begin with; empty when they are few or short, or a prompt has nothing else."""
    if len(prompts) < FEWEST_TO_SHARE:
        return ""
    first, last = min(prompts), max(prompts)  # what these share, all between them share
    length = next((i for i, letters in enumerate(zip(first, last, strict=False)) if len({*letters}) > 1), len(first))
    lines = first[: first.rfind("\n", 0, length) + 1]
    alone = any(not prompt[len(lines) :].strip() for prompt in prompts)
    return "" if alone or len(lines) < WORTH_SAYING_ONCE else lines


def _shown(fate: Fate, pair: AnswerPair, beginning: int) -> ShownAnswer:
    base, tuned = compared(pair.base, pair.tuned)
    same = pair.base == pair.tuned
    return ShownAnswer(pair.row, fate, shortened(pair.prompt[beginning:]), shortened(pair.reference), base, tuned, same)
