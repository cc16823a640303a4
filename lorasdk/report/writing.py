"""Writes the three files of a report, and builds the pages again from the one that holds the facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorasdk.checkpoints.whole_file import write_whole_text
from lorasdk.errors import Problem, ResourceError
from lorasdk.eval_report import EvalReport
from lorasdk.report.collecting import collect_facts
from lorasdk.report.document import NAME, ReportDocument, document_of, document_text, read_document
from lorasdk.report.facts import RunFacts
from lorasdk.report.filling_in import as_html, as_markdown
from lorasdk.report.finding import find_report, report_home
from lorasdk.report.view import view_of


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report lies."""

    html: Path
    """One page, for people; it needs no other file."""
    markdown: Path
    """The same facts for terminals, pull requests and model cards."""
    json: Path
    """The exact numbers, from which the others are built."""


def write_report(folder: Path, report: EvalReport, *, run_dir: Path | None) -> ReportFiles:
    """Write ``report.html``, ``report.md`` and ``report.json``, each whole or not at all, in place of earlier ones.

    Args:
        folder: receives the files; made when it is not there.
        report: what was found.
        run_dir: the run's folder or its adapter's, or that of an adapter which was copied out of one; what it does not
            hold is left out of the pages, which say so. None when nothing but the scores is known.

    Raises:
        AdapterError: the passport is damaged.
        ResourceError: the disk refuses.
    """
    try:
        run = RunFacts() if run_dir is None else collect_facts(report_home(run_dir) or run_dir)
    except OSError as error:
        raise ResourceError(_disk(run_dir or folder, error)) from error
    return _write(folder, ReportDocument(report, run))


def rebuild_report(path: Path, *, folder: Path | None = None) -> ReportFiles:
    """Build the pages again from ``report.json``.

    Args:
        path: that file, or the folder of a report, a run, an adapter, or of several runs (the latest is taken).
        folder: receives the files; where ``report.json`` lies when left out.

    Raises:
        AdapterError: there is no report, or it is damaged.
        ResourceError: the disk refuses.
    """
    found = find_report(path)
    return _write(folder or found.parent, read_document(found))


def page_text(document: ReportDocument) -> str:
    """The page; the same document gives the same bytes."""
    return as_html("report.html.jinja", {"view": view_of(document)})


def markdown_text(document: ReportDocument) -> str:
    """The same facts as Markdown."""
    return as_markdown("report.md.jinja", {"view": view_of(document)})


def _write(folder: Path, document: ReportDocument) -> ReportFiles:
    files = ReportFiles(folder / f"{NAME}.html", folder / f"{NAME}.md", folder / f"{NAME}.json")
    facts = document_text(document)
    # From what is written, so that a page that is built again has the same bytes.
    written = document_of(facts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole_text(files.json, facts)
        write_whole_text(files.html, page_text(written))
        write_whole_text(files.markdown, markdown_text(written))
    except OSError as error:
        raise ResourceError(_disk(folder, error)) from error
    return files


def _disk(place: Path, error: OSError) -> Problem:
    return Problem(
        code="report.disk",
        message=f"the report cannot be written: {error}",
        place=str(place.absolute()),
        fix="make room or choose another folder, then: lorasdk evaluate RUN_OR_ADAPTER",
    )
