"""`lorasdk verify`: is it what was written, and does it still say so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorasdk.cli.arguments import Json, Set
from lorasdk.cli.output import print_json, results_console
from lorasdk.cli.progress import shown_progress
from lorasdk.exports import VerificationReport
from lorasdk.tuner.verifying import verify as verify_artefact

Artefact = Annotated[
    Path,
    typer.Argument(help="An adapter, a run, or the folder that an export wrote.", show_default=False),
]


def verify(artefact: Artefact, set_: Set = None, json: Json = False) -> None:
    """Check an artefact: hashes, base model, chat template, and its answers against what was recorded.

    Exit code 4 when it is damaged or answers otherwise. `--set base_model.source=…` names the base elsewhere.
    """
    with shown_progress() as watcher:
        report = verify_artefact(artefact, overrides=set_ or (), on_event=watcher)
    if json:
        print_json(report)
    else:
        results_console().print(_told(report), soft_wrap=True, markup=False)


def _told(report: VerificationReport) -> str:
    files = f"{report.kind}: {len(report.files)} files are as they were written"
    if report.largest_difference is None:
        return f"{files}; what it should answer was never recorded"
    asked = f"{report.prompts} fixed prompts" + (f" and {report.rows} test rows" if report.rows else "")
    verdict = "as its label says" if report.verdict == "labelled" else "as was recorded"
    measured = f"at most {report.largest_difference:.2g} nats apart, {report.tolerance:g} would pass"
    return f"{files}; it answers {asked} {verdict} ({measured}, in {report.dtype})"
