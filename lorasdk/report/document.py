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
from lorasdk.runs.folder import ADAPTER, PASSPORT, runs_in

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


def find_report(path: Path) -> Path:
    """The ``report.json`` that `path` names: itself, or that of an adapter, of a run, or of the latest run in a folder.

    Raises:
        AdapterError: there is none.
    """
    found = next((each for each in _candidates(path) if each.is_file()), None)
    if found is None:
        raise AdapterError(missing_report(path, "no such folder" if not path.exists() else f"no {NAME}.json in it"))
    return found


def run_folder(path: Path) -> Path | None:
    """The folder that tells most about the run that `path` names; None when it is neither a run's nor an adapter's."""
    absolute = path.absolute()
    if absolute.name == ADAPTER and (absolute / PASSPORT).is_file() and any(_tells(absolute.parent)):
        return absolute.parent
    latest = reversed(runs_in(absolute)) if absolute.is_dir() else iter(())
    return next((each for each in (absolute, *latest) if (each / PASSPORT).is_file() or any(_tells(each))), None)


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


def _candidates(path: Path) -> list[Path]:
    absolute = path.absolute()
    folders = [absolute, absolute / ADAPTER]
    if absolute.name == ADAPTER:
        folders.append(absolute.parent)
    if absolute.is_dir():
        folders += reversed(runs_in(absolute))
    return [*([absolute] if absolute.suffix == ".json" else []), *(folder / f"{NAME}.json" for folder in folders)]


def _tells(folder: Path) -> list[Path]:
    names = (f"{ADAPTER}/{PASSPORT}", "events.jsonl", f"{NAME}.json")
    return [folder / name for name in names if (folder / name).is_file()]
