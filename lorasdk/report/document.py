"""``report.json``: an evaluation with what its pages say about the run, every number exact; pages follow from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorasdk.errors import AdapterError, DataError, Problem
from lorasdk.eval_report import EvalReport
from lorasdk.records import dataclass_of, dataclass_record, read_line
from lorasdk.report.facts import RunFacts

NAME = "report"
"""Of the three files, before their suffix."""


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """All that a report shows."""

    evaluation: EvalReport
    """What was found."""
    run: RunFacts
    """About whom."""


def document_text(document: ReportDocument) -> str:
    """Write a document as JSON; reading it gives an equal one."""
    return json.dumps(dataclass_record(document), indent=1, allow_nan=False) + "\n"


def document_of(text: str | bytes) -> ReportDocument:
    """Read a document back.

    Raises:
        DataError: it is none.
    """
    document = dataclass_of(ReportDocument, read_line(text))
    contradiction = next(_contradictions(document.evaluation), None)
    if contradiction is not None:
        raise DataError(Problem("report.damaged", contradiction))
    return document


def read_document(path: Path) -> ReportDocument:
    """Read ``report.json``.

    Raises:
        AdapterError: there is no such file, or it is damaged.
    """
    try:
        return document_of(path.read_bytes())
    except OSError as error:
        raise AdapterError(missing_report(path, str(error.strerror))) from error
    except DataError as error:
        raise AdapterError(
            Problem(
                code="report.damaged",
                message=f"the report cannot be read: {error.problems[0].message}",
                place=str(path.absolute()),
                fix="evaluate again, which writes a new one: lorasdk evaluate RUN_OR_ADAPTER",
            )
        ) from error


def read_report(path: Path) -> EvalReport:
    """Read the evaluation back from a ``report.json`` that `write_report` wrote; it equals the one that was written.

    Raises:
        AdapterError: there is no such file, or it is damaged.
    """
    return read_document(path).evaluation


def missing_report(path: Path, found: str) -> Problem:
    """Nobody has evaluated it yet."""
    return Problem(
        code="report.missing",
        message="there is no report here",
        place=str(path.absolute()),
        found=found,
        allowed=f"a folder with {NAME}.json: a run's, an adapter's, or a folder of runs",
        fix="evaluate first, which writes it: lorasdk evaluate RUN_OR_ADAPTER",
    )


def _contradictions(report: EvalReport) -> Iterator[str]:
    """What no evaluation finds, but somebody who edits the file may write."""
    for score in report.scores:
        if len(score.base_rows) != len(score.tuned_rows):
            yield f"{score.evaluator} has {len(score.base_rows)} scores for base and {len(score.tuned_rows)} for tuned"
    if report.labels is not None:
        shape = [len(report.labels.classes) + 1] * len(report.labels.classes)
        for matrix in (report.labels.base_confusion, report.labels.tuned_confusion):
            if [len(row) for row in matrix] != shape:
                yield f"a confusion matrix of {len(shape)} labels has rows of {[len(row) for row in matrix]} counts"
