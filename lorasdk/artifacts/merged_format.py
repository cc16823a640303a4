"""``merged``: base model and adapter as one ordinary model in transformers' layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM

from lorasdk.artifacts.export_passport import MergingPart
from lorasdk.artifacts.exportable import Exportable, Written
from lorasdk.artifacts.merging import closer_model
from lorasdk.artifacts.proof import Proof
from lorasdk.artifacts.sealing import seal_export
from lorasdk.artifacts.tolerances import TOLERANCES
from lorasdk.basemodel.load_report import require_complete
from lorasdk.basemodel.loading import REFUSALS
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.checkpoints import fault_points
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class MergedFormat:
    """Weights, configuration, generation settings, tokenizer and chat template."""

    name = "merged"
    dtypes = tuple(DTYPES)

    def check(self, config: PretrainedConfig, gguf: Path | None) -> None:
        """Whatever transformers loads, it saves."""

    def tolerance(self, source: Exportable, dtype: str) -> float:  # noqa: ARG002 - alike for all
        """By the type of the written weights."""
        return TOLERANCES[dtype]

    def write(self, source: Exportable, draft: Path, *, dtype: str) -> Written:
        """Merge in float32, and write in `dtype`."""
        model, expected, merging = closer_model(source)
        with quiet():
            merged = model.merge_and_unload().to(DTYPES[dtype])
            stop_where_ours_stops(merged, source.stop_ids)
            merged.save_pretrained(str(draft))
            fault_points.reach("file-written")
            source.tokenizer.save_pretrained(str(draft))
        fault_points.reach("file-written")
        return Written(expected, "float32", merging)

    @contextmanager
    def reload(self, source: Exportable, draft: Path) -> Iterator[PreTrainedModel]:  # noqa: ARG002 - it needs no other
        """Read it back, in float32."""
        yield load_merged(draft)

    def seal(self, source: Exportable, draft: Path, *, dtype: str, proof: Proof, merging: MergingPart | None) -> None:
        """Its passport holds the adapter's."""
        seal_export(draft, source.passport, kind="merged", dtype=dtype, proof=proof, merging=merging)


def load_merged(folder: Path) -> PreTrainedModel:
    """A merged model from the disk, in float32 on the CPU, in evaluation mode.

    Raises:
        AdapterError: transformers cannot read it.
        ModelError: its weights are not those of its architecture.
    """
    with quiet(), scoped_random(torch.device("cpu")):
        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except REFUSALS as error:
            raise AdapterError(_unreadable(folder, error)) from error
    require_complete(report, place=folder)
    return model.eval()


def stop_where_ours_stops(model: PreTrainedModel, stop_ids: frozenset[int]) -> None:
    """Let the generation settings end an answer at the tokens at which the adapter was trained to end it."""
    settings: Any = model.generation_config
    known = settings.eos_token_id
    before = {known} if isinstance(known, int) else set(known or ())
    settings.eos_token_id = sorted(before | stop_ids)


def _unreadable(folder: Path, error: Exception) -> Problem:
    return Problem(
        code="export.unreadable",
        message=f"transformers cannot read the merged model: {error}",
        place=str(folder),
        fix="export again",
    )
