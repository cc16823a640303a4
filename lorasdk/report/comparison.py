"""Several runs on one page: scores side by side, what their recipes do not share, losses over each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasdk.errors import AdapterError, DataError, Problem
from lorasdk.eval_report import EvalReport
from lorasdk.report.collecting import collect_facts
from lorasdk.report.curves import SERIES, Line, Plot, lines_plot
from lorasdk.report.document import read_document
from lorasdk.report.facts import RunFacts
from lorasdk.report.filling_in import as_html
from lorasdk.report.finding import find_report, report_home
from lorasdk.report.view import ShownScore, shown_scores

FEWEST = 2
"""Runs that can be compared."""
UNTOLD = frozenset({"name", "output_dir"})
"""Settings whose difference says nothing about the model."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the runs."""

    label: str
    """What it is called on the page; no two are called the same."""
    facts: RunFacts
    """What its folder tells."""
    report: EvalReport | None
    """None when nobody has evaluated it."""
    same_rows: bool | None
    """Whether its test rows are those of the first run; None when one of them is not known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of the recipe that is not the same everywhere."""

    field: str
    values: tuple[str, ...]
    """In the order of the runs, as JSON; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs, the first of which the others are compared with."""

    runs: tuple[ComparedRun, ...]
    differences: tuple[Difference, ...]

    @property
    def comparable(self) -> bool:
        """Whether all were scored on the same test rows, as the hashes of these say."""
        return all(run.same_rows for run in self.runs)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Names of all evaluators, in the order they are met."""
        reports = [run.report for run in self.runs if run.report]
        return tuple(dict.fromkeys(score.evaluator for report in reports for score in report.scores))


def read_comparison(paths: Sequence[Path]) -> Comparison:
    """Read several runs: their reports, and where there is none what their folders tell.

    Raises:
        DataError: fewer than two are named.
        AdapterError: one of them is no run, or its report or passport is damaged.
    """
    if len(paths) < FEWEST:
        raise DataError(_too_few(len(paths)))
    read = [_read(path) for path in paths]
    labels = _labels([facts for facts, _ in read], paths)
    first = _test_hash(read[0][0])
    runs = tuple(
        ComparedRun(label, facts, report, _agree(first, _test_hash(facts)))
        for label, (facts, report) in zip(labels, read, strict=True)
    )
    return Comparison(runs, tuple(_differences([run.facts for run in runs])))


def compare_runs(runs: Sequence[Path]) -> str:
    """One page, as HTML text, on which several runs stand side by side.

    Args:
        runs: folders of runs, reports or adapters; the first is what the others are compared with.

    Raises:
        DataError: fewer than two are named.
        AdapterError: one of them is no run, or its report or passport is damaged.
    """
    return comparison_page(read_comparison(runs))


def comparison_page(comparison: Comparison) -> str:
    """The page of a comparison; the same comparison gives the same bytes."""
    return as_html(
        "compare.html.jinja",
        {"comparison": comparison, "table": score_table(comparison), "plot": _losses(comparison), "colours": SERIES},
    )


def score_table(comparison: Comparison) -> tuple[tuple[str, tuple[ShownScore | None, ...]], ...]:
    """By evaluator, the score of each run; None where it has none."""
    columns = [{} if run.report is None else _by_name(run.report) for run in comparison.runs]
    return tuple((name, tuple(column.get(name) for column in columns)) for name in comparison.evaluators)


def _by_name(report: EvalReport) -> dict[str, ShownScore]:
    return {shown.score.evaluator: shown for shown in shown_scores(report.scores)}


def _read(path: Path) -> tuple[RunFacts, EvalReport | None]:
    try:
        document = read_document(find_report(path))
    except AdapterError as error:
        home = report_home(path)
        if error.code != "report.missing" or home is None:
            raise
        return collect_facts(home), None
    return document.run, document.evaluation


def _labels(runs: Sequence[RunFacts], paths: Sequence[Path]) -> list[str]:
    labels: list[str] = []
    for facts, path in zip(runs, paths, strict=True):
        parts = [facts.recipe_name, facts.run or path.absolute().name]
        label = " ".join(dict.fromkeys(part for part in parts if part))
        same = sum(each == label or each.startswith(f"{label} (") for each in labels)
        labels.append(label if not same else f"{label} ({same + 1})")
    return labels


def _test_hash(facts: RunFacts) -> str | None:
    test = facts.split("test")
    return None if test is None else test.sha256


def _agree(one: str | None, other: str | None) -> bool | None:
    return None if one is None or other is None else one == other


def _differences(runs: Sequence[RunFacts]) -> Iterator[Difference]:
    fields = dict.fromkeys(name for run in runs for name in run.settings)
    for name in fields:
        values = tuple(run.settings.get(name, "") for run in runs)
        if name not in UNTOLD and len(set(values)) > 1:
            yield Difference(name, values)


def _losses(comparison: Comparison) -> Plot | None:
    known = list(enumerate(comparison.runs, start=1))
    lines = [Line([(step.step, step.loss) for step in run.facts.steps], series=number) for number, run in known]
    legend = tuple((number, run.label) for number, run in known)
    return lines_plot("losses", "Training loss, nats per supervised token", lines, legend)


def _too_few(found: int) -> Problem:
    return Problem(
        code="report.too-few-runs",
        message="a comparison needs at least two runs",
        found=str(found),
        fix="name several: lorasdk compare RUN RUN --output FILE",
    )
