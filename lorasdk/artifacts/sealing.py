"""Finishes the folder of an export: what was expected, a card for people, and the passport last."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lorasdk.artifacts import golden_record, model_card
from lorasdk.artifacts.adapter_folder import library_versions, sha256_of
from lorasdk.artifacts.export_card import export_card
from lorasdk.artifacts.export_passport import ExportPassport, MergingPart
from lorasdk.artifacts.passport import FILE_NAME, Passport
from lorasdk.artifacts.proof import Proof
from lorasdk.checkpoints import fault_points

UNSEALED = (FILE_NAME, model_card.FILE_NAME)
"""Files whose hashes are not in the passport: itself, and what people may write more into."""


def seal_export(
    draft: Path,
    adapter: Passport,
    *,
    kind: Literal["merged", "gguf", "gguf-adapter"],
    dtype: str,
    proof: Proof,
    merging: MergingPart | None,
) -> ExportPassport:
    """Write ``golden.json``, ``README.md`` and ``lorasdk.json`` beside what a format wrote.

    Raises:
        OSError: the disk refuses.
    """
    if proof.record is not None:
        _write(draft / golden_record.FILE_NAME, proof.record.model_dump_json() + "\n")
    passport = ExportPassport(
        kind=kind,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dtype=dtype,
        files=_hashes(draft),
        verification=proof.verification,
        merging=merging,
        adapter=adapter,
        versions=library_versions(),
    )
    _write(draft / model_card.FILE_NAME, export_card(passport))
    _write(draft / FILE_NAME, passport.model_dump_json(indent=2) + "\n")
    return passport


def _hashes(draft: Path) -> dict[str, str]:
    files = (path for path in sorted(draft.rglob("*")) if path.is_file())
    return {name: sha256_of(path) for path in files if (name := path.relative_to(draft).as_posix()) not in UNSEALED}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
    fault_points.reach("file-written")
