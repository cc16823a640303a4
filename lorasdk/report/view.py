"""What the pages of one run show, prepared so that the templates only have to say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lorasdk.eval_report import ClassScore, EvalReport, LabelReport, Score
from lorasdk.report.choosing_answers import ShownAnswers, choose_answers
from lorasdk.report.curves import Plot, run_plots
from lorasdk.report.document import ReportDocument
from lorasdk.report.facts import RunFacts

MOST_LABELS = 20
"""Labels in the table of classes and in confusion matrices; `report.json` has all."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A change with its interval on a line from 0 to 100, whose middle is no change."""

    low: float
    high: float
    at: float


@dataclass(frozen=True, slots=True)
class ShownScore:
    """One evaluator's line."""

    score: Score
    share: bool
    """Whether it is a share of rows, to be written in percent."""
    binary: bool
    """Whether each row is right or wrong."""
    strip: Strip | None
    """Without an interval there is none."""


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """One label's row of a confusion matrix."""

    label: str
    cells: tuple[tuple[int, float, bool], ...]
    """Count, share of the row's, and whether given and right label are the same."""


@dataclass(frozen=True, slots=True)
class ShownLabels:
    """Classes and confusion, bounded."""

    classes: tuple[ClassScore, ...]
    left_out: int
    names: tuple[str, ...]
    """Columns of the matrices, before the one that counts what is no label."""
    confusions: tuple[tuple[str, tuple[ConfusionRow, ...]], ...]
    """Whose, and the rows."""


@dataclass(frozen=True, slots=True)
class View:
    """Everything a page needs."""

    evaluation: EvalReport
    run: RunFacts
    scores: tuple[ShownScore, ...]
    headline: ShownScore | None
    """The first evaluator's: what the verdict is about."""
    answers: ShownAnswers
    labels: ShownLabels | None
    plots: tuple[Plot, ...]
    unbeaten: tuple[str, ...]
    """Baselines that the tuned model does not beat."""
    disagreeing: tuple[str, ...]
    """Evaluators by which it is worse although the verdict is another."""

    @property
    def cautions(self) -> bool:
        """Whether anything stands against the verdict."""
        found = self.evaluation
        overlapping = found.overlap is not None and found.overlap.rows > 0
        forgotten = found.forgetting is not None and not found.forgetting.within
        return bool(self.unbeaten or self.disagreeing or found.failures or overlapping or forgotten)


def view_of(document: ReportDocument) -> View:
    """Prepare a page; the same document gives the same one."""
    report = document.evaluation
    scores = shown_scores(report.scores)
    labels = report.labels
    worse = tuple(score.evaluator for score in report.scores[1:] if score.verdict == "worse")
    return View(
        evaluation=report,
        run=document.run,
        scores=scores,
        headline=scores[0] if scores else None,
        answers=choose_answers(report),
        labels=None if labels is None else _shown_labels(labels),
        plots=run_plots(document.run),
        unbeaten=tuple(each.name for each in labels.baselines if each.verdict != "better") if labels else (),
        disagreeing=worse,
    )


def shown_scores(scores: Sequence[Score]) -> tuple[ShownScore, ...]:
    """Decide how each score is written; shares are drawn on one scale, so that they can be compared."""
    wide = max((_reach(score) for score in scores if is_share(score)), default=0.0)
    return tuple(_shown_score(score, wide) for score in scores)


def is_share(score: Score) -> bool:
    """Whether a score counts right answers: all its values lie between 0 and 1, and more is better."""
    values = (score.base, score.tuned, *score.base_rows, *score.tuned_rows)
    return score.higher_is_better and all(0 <= value <= 1 for value in values)


def _shown_score(score: Score, wide: float) -> ShownScore:
    share = is_share(score)
    binary = share and {*score.base_rows, *score.tuned_rows} <= {0.0, 1.0}
    reach = wide if share else _reach(score)
    interval = score.interval
    places = () if interval is None else (interval.low, interval.high, score.change)
    if not places or reach == 0 or not all(map(math.isfinite, (*places, reach))):
        return ShownScore(score, share, binary, None)
    low, high, at = (round(50 + 46 * value / reach, 2) for value in places)
    return ShownScore(score, share, binary, Strip(low, high, at))


def _reach(score: Score) -> float:
    bounds: tuple[float, ...] = (score.interval.low, score.interval.high) if score.interval else ()
    return max(abs(value) for value in (score.change, *bounds))


def _shown_labels(labels: LabelReport) -> ShownLabels:
    names = tuple(each.label for each in labels.classes[:MOST_LABELS])
    matrices = (("tuned", labels.tuned_confusion), ("base", labels.base_confusion))
    return ShownLabels(
        classes=labels.classes[:MOST_LABELS],
        left_out=len(labels.classes) - len(names),
        names=names,
        confusions=tuple((whose, _confusion(names, matrix)) for whose, matrix in matrices),
    )


def _confusion(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> tuple[ConfusionRow, ...]:
    return tuple(_row(number, name, matrix[number], len(names)) for number, name in enumerate(names))


def _row(number: int, name: str, counts: Sequence[int], shown: int) -> ConfusionRow:
    total = sum(counts) or 1
    kept = [*range(shown), len(counts) - 1]
    return ConfusionRow(name, tuple((counts[i], round(counts[i] / total, 3), i == number) for i in kept))
