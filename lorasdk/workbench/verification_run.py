"""One verification of an artefact: what is cheap to refuse first, then the model. Heavy: imported when work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasdk.artifacts.export_passport import ExportPassport
from lorasdk.artifacts.golden import GoldenPrompt, encode_fixed, golden_rows
from lorasdk.artifacts.golden_record import GoldenRecord, difference_from, read_record, rows_at_hand
from lorasdk.artifacts.passport import Passport
from lorasdk.artifacts.sealed_files import check_files
from lorasdk.artifacts.tolerances import TOLERANCES
from lorasdk.basemodel.quiet import quiet
from lorasdk.contracts import Example
from lorasdk.data.encoding import Encoder
from lorasdk.errors import AdapterError, Problem
from lorasdk.events import Emit
from lorasdk.exports import VerificationReport
from lorasdk.resolving import Resolved
from lorasdk.workbench.reading_back import READERS, ReadBack, Reading

FULL = {"device": "cpu", "dtype": "float32", "quantization": "none"}
"""How the base model of a converted adapter is held: what was recorded was computed so."""


def pinned(passport: Passport | ExportPassport) -> Mapping[str, str]:
    """Fields of the recipe's ``base_model`` with which an artefact computes as when it was recorded."""
    return {"dtype": passport.base_model.dtype} if isinstance(passport, Passport) else FULL


@dataclass(frozen=True)
class VerificationRun:
    """A check of an artefact."""

    folder: Path
    passport: Passport | ExportPassport
    resolved: Resolved
    """The recipe of the adapter behind it."""
    test_rows: Callable[[], Sequence[Example]]
    """Those of the recipe, if they are at hand."""
    trust_remote_code: bool
    emit: Emit

    def run(self) -> VerificationReport:
        """Check files, base model, template and answers.

        Raises:
            AdapterError: something is not as it was.
            LorasdkError: the base model of an adapter cannot be loaded.
        """
        files = check_files(self.folder, self.passport)
        record = read_record(self.folder)
        reading = Reading(self.folder, self.passport.of_adapter, self.resolved, self.trust_remote_code, self.emit)
        with quiet(), READERS[self.passport.kind](reading) as read:
            if record is None:
                return VerificationReport(self.folder, self.passport.kind, "no-record", files)
            if read.encoder is not None:
                _require_same_tokens(record, read.encoder, self.folder)
            return self._asked(files, record, read)

    def _asked(self, files: tuple[str, ...], record: GoldenRecord, read: ReadBack) -> VerificationReport:
        rows = self._rows(record, read.encoder)
        difference = difference_from(record, read.model, rows)
        told = self.passport.verification
        tolerance = self._tolerance(record, read)
        labelled = told is not None and told.verdict == "differs"
        # A labelled artefact is as far away as its passport admits, and no farther.
        admitted = (told.largest_difference or 0.0) if told is not None and labelled else 0.0
        if not difference <= tolerance + admitted:
            raise AdapterError(_differs(self.folder, difference, tolerance))
        return VerificationReport(
            folder=self.folder,
            kind=self.passport.kind,
            verdict="labelled" if labelled else "same",
            files=files,
            dtype=read.dtype,
            prompts=len(record.prompts),
            rows=rows_at_hand(record, rows),
            largest_difference=difference,
            tolerance=tolerance,
        )

    def _tolerance(self, record: GoldenRecord, read: ReadBack) -> float:
        """That of the type that was written; for an adapter, of the types that both sides computed in."""
        written = [self.passport.dtype] if isinstance(self.passport, ExportPassport) else []
        return max(TOLERANCES[dtype] for dtype in (*written, record.dtype, read.dtype))

    def _rows(self, record: GoldenRecord, encoder: Encoder | None) -> Sequence[GoldenPrompt]:
        if not record.rows or encoder is None:
            return ()
        wanted = {row.row for row in record.rows}
        return tuple(golden_rows(encoder, [row for row in self.test_rows() if row.row in wanted]))


def _require_same_tokens(record: GoldenRecord, encoder: Encoder, folder: Path) -> None:
    other = [prompt.text for prompt in record.prompts if encode_fixed(encoder, prompt.text) != prompt.ids]
    if other:
        raise AdapterError(
            Problem(
                code="verify.other-tokens",
                message="the tokenizer makes other tokens of a prompt than it did",
                place=str(folder),
                found=f"{len(other)} of {len(record.prompts)} fixed prompts, the first of them {other[0]!r}",
                fix="use the tokenizer's files as they were when the adapter was trained",
            )
        )


def _differs(folder: Path, difference: float, tolerance: float) -> Problem:
    return Problem(
        code="verify.differs",
        message="it does not answer as was recorded when it was written",
        place=str(folder),
        found=f"log-probabilities differ by up to {difference:.2g} nats",
        allowed=f"at most {tolerance:g} nats",
        fix="use the base model that it was made for, or fetch it again; other machines' rounding is within the bound",
    )
