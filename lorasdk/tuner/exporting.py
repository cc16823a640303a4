"""What a tuner does to hand its adapter on: in which form, where, and compared on which rows. Light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.contracts import Example
from lorasdk.errors import LorasdkError
from lorasdk.events import Emit, Notice
from lorasdk.exports import ExportOptions, ExportResult
from lorasdk.tuner.rows import TunerRows
from lorasdk.tuner.state import TunerState

if TYPE_CHECKING:
    from lorasdk.artifacts.passport import Passport


def export_model(state: TunerState, folder: Path, options: ExportOptions, *, emit: Emit) -> ExportResult:
    """Write the tuner's adapter in another form, read it back, and compare it before the folder appears.

    Args:
        state: the tuner's.
        folder: does not exist or is empty, unless it is an artefact that may be replaced.
        options: ``merged`` (an ordinary model for transformers, in float32 unless another `dtype` is asked for),
            ``adapter`` (a folder for PEFT), ``gguf`` or ``gguf-adapter`` (for llama.cpp and Ollama); whether it may
            replace an earlier export; and whether one that answers otherwise is refused or kept with a label.
        emit: hears what was measured.

    Raises:
        InferenceError: no adapter yet, a training is running, or an unknown format or type.
        AdapterError: the folder is in use, the format cannot hold the model, or what was read back differs.
        ResourceError: the disk refuses.
    """
    folder = folder.expanduser().absolute()
    return state.export(folder, options, lambda: rows_at_hand(state.rows, state.passport(), emit), emit)


def rows_at_hand(rows: TunerRows, passport: Passport | None, emit: Emit) -> Sequence[Example]:
    """Rows of the test split that an adapter's passport names, if they are at hand and the same."""
    if passport is None or "test" not in passport.data:
        return ()
    try:
        splits = rows.to_compare(passport, emit)
        why = "they were handed over to the training, and are not here"
    except LorasdkError as error:
        splits, why = {}, error.problems[0].message
    if "test" in splits:
        return splits["test"].items
    emit(Notice("export.no-test-rows", f"compared on fixed prompts alone, without test rows: {why}"))
    return ()
