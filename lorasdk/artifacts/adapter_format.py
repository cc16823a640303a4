"""``adapter``: the adapter's folder as it is, for PEFT and for whoever loads PEFT's adapters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts import golden_record, model_card
from lorasdk.artifacts.adapter_folder import WEIGHTS, write_proof
from lorasdk.artifacts.adapter_proof import read_back_beside, read_back_on_its_own, shares_base
from lorasdk.artifacts.export_passport import MergingPart
from lorasdk.artifacts.exportable import Exportable, Written
from lorasdk.artifacts.passport import FILE_NAME
from lorasdk.artifacts.proof import Proof
from lorasdk.artifacts.tolerances import adapter_tolerance
from lorasdk.basemodel.adapter_config import CONFIG
from lorasdk.basemodel.links import require_inside
from lorasdk.basemodel.quiet import quiet
from lorasdk.checkpoints import fault_points

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PretrainedConfig

AS_IT_IS = "as-trained"
COPIED = (WEIGHTS, CONFIG, model_card.FILE_NAME)
MADE = (FILE_NAME, golden_record.FILE_NAME)
"""Written anew: an adapter of an earlier release, or of a stopped run, has not been compared."""


class AdapterFormat:
    """A plain PEFT adapter with its passport and card."""

    name = "adapter"
    dtypes = (AS_IT_IS,)

    def check(self, config: PretrainedConfig, gguf: Path | None) -> None:
        """Every adapter of ours can be copied."""

    def tolerance(self, source: Exportable, dtype: str) -> float:  # noqa: ARG002 - there is one
        """On the same base no difference is expected; on one that is loaded for it, its type's rounding is."""
        return adapter_tolerance(source.base.device.dtype, beside=shares_base(source.lora))

    def write(self, source: Exportable, draft: Path, *, dtype: str) -> Written:  # noqa: ARG002 - there is one
        """Copy what matters; other files of the folder are somebody else's."""
        for name in COPIED:
            path = source.adapter_dir / name
            require_inside(path)
            if path.is_file():
                shutil.copyfile(path, draft / name)
                fault_points.reach("file-written")
        return Written(source.said(), source.base.device.dtype)

    @contextmanager
    def reload(self, source: Exportable, draft: Path) -> Iterator[PeftModel]:
        """Read it back onto the base in memory, or onto a new one where that cannot be shared."""
        beside = shares_base(source.lora)
        with source.lock, quiet():
            again = read_back_beside(source.model, source.base, draft) if beside else None
            with again or read_back_on_its_own(source.load_again, draft) as model:
                yield model

    def seal(self, source: Exportable, draft: Path, *, dtype: str, proof: Proof, merging: MergingPart | None) -> None:  # noqa: ARG002
        """Its passport is the one that it had, with this comparison."""
        write_proof(draft, source.passport, proof)
        if not (draft / model_card.FILE_NAME).is_file() or not proof.same:
            passport = source.passport.model_copy(update={"verification": proof.verification})
            text = model_card.model_card(passport, report=None)
            (draft / model_card.FILE_NAME).write_text(text, encoding="utf-8", newline="\n")
