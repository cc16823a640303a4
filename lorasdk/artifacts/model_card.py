"""Writes the model card, ``README.md`` of an adapter folder, in the hub's form.

It is made for strangers' eyes: of the recipe it tells names and numbers, and no path, row, answer or message, since
these may hold what belongs to a machine or to somebody.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from lorasdk.artifacts.card_metadata import card_metadata, hub_id
from lorasdk.artifacts.export_card import verified_line
from lorasdk.artifacts.passport import Passport
from lorasdk.checkpoints.whole_file import write_whole_text
from lorasdk.errors import Problem, ResourceError
from lorasdk.eval_report import EvalReport, Score

FILE_NAME = "README.md"
TEMPLATE = "model_card.md.jinja"
PUBLIC = ("hub:", "package:")
"""Base models that another machine finds by the same name."""


def write_model_card(adapter_dir: Path, passport: Passport, report: EvalReport | None) -> Path:
    """Write the card in place of the one that is there; a reader sees the old one or the new one.

    Args:
        adapter_dir: an adapter folder.
        passport: its passport.
        report: what an evaluation found; None while there was none.

    Returns:
        The card's path.

    Raises:
        ResourceError: the disk refuses; what was there is untouched.
    """
    path = adapter_dir / FILE_NAME
    try:
        write_whole_text(path, model_card(passport, report))
    except OSError as error:
        raise ResourceError(_refused(path, error)) from error
    return path


def model_card(passport: Passport, report: EvalReport | None) -> str:
    """The card's text; the same for the same passport and report."""
    from huggingface_hub import ModelCard

    text = _body(passport, report)
    return str(ModelCard(f"---\n{card_metadata(passport, report).to_yaml()}\n---\n\n{text}"))


def _body(passport: Passport, report: EvalReport | None) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    targets = passport.recipe["lora"]["targets"]
    environment = Environment(  # noqa: S701 - Markdown, of names and numbers
        loader=PackageLoader("lorasdk.artifacts", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        passport=passport,
        name=passport.recipe["name"],
        lora=passport.recipe["lora"],
        targets=_cell(", ".join([targets] if isinstance(targets, str) else targets)),
        base=_base_name(passport.base_model.identity),
        hub_id=hub_id(passport),
        found_anywhere=passport.base_model.identity.startswith(PUBLIC),
        gguf=_gguf_file(passport.base_model.identity),
        verified=verified_line(passport.verification) if passport.verification else None,
        report=report,
        table=[_line(score) for score in report.scores] if report else [],
        confidence=_confidence(report) if report else None,
        failed=sorted({problem.code for problem in report.failures}) if report else [],
    )


def _base_name(identity: str) -> str:
    """What a stranger may know of the base model: its public name, or the last part of its path."""
    source, _, reference = identity.partition(":")
    if source in {"hub", "package"}:
        return f"`{reference}` ({'the Hugging Face hub' if source == 'hub' else 'a file of a Python distribution'})"
    if source in {"folder", "gguf"}:
        return f"`{_last_part(reference)}` (a local {'folder' if source == 'folder' else 'GGUF file'})"
    return f"a model of the source `{source}`"


def _gguf_file(identity: str) -> str | None:
    name = _last_part(identity.partition(":")[2])
    return name if identity.partition(":")[0] in {"gguf", "package"} and name.endswith(".gguf") else None


def _last_part(path: str) -> str:
    return PureWindowsPath(PurePosixPath(path).name).name


def _line(score: Score) -> list[str]:
    """A row of the table of results."""
    interval = score.interval
    return [
        _cell(score.evaluator),
        f"{score.base:.3f}",
        f"{score.tuned:.3f}",
        f"{score.change:+.3f}",
        f"{interval.low:+.3f} to {interval.high:+.3f}" if interval else "",
        _verdict(score),
        "higher" if score.higher_is_better else "lower",
        str(score.rows),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _verdict(score: Score) -> str:
    if score.interval is None:
        return "not tested"
    return f"{score.verdict} ({score.rows_needed} rows needed)" if score.rows_needed is not None else score.verdict


def _confidence(report: EvalReport) -> float | None:
    return next((score.interval.confidence for score in report.scores if score.interval), None)


def _refused(path: Path, error: OSError) -> Problem:
    return Problem(
        code="adapter.disk",
        message=f"the model card could not be written: {error}",
        place=str(path.absolute()),
        fix="free disk space, or make the folder writable; the adapter itself is untouched",
    )
