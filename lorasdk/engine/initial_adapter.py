"""What some initialisations need beside PEFT's `LoraConfig`: sample batches, or the adapter as it was at the start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.forward.padded import pad
from lorasdk.recipe.schema import LoraSection

if TYPE_CHECKING:
    from peft import PeftModel

CHANGES_BASE = ("pissa", "olora", "corda")
"""Initialisations that take their matrices out of the base weights. PEFT then saves the difference to the start as an
ordinary adapter of twice the rank, which fits the unchanged base model."""
LOOKS_AT_DATA = ("eva", "corda")
SAMPLE_BATCHES = 8


def data_batches(
    section: LoraSection, rows: Sequence[TokenRow], batch_size: int, *, device: torch.device
) -> list[dict[str, torch.Tensor]]:
    """Model inputs of the first rows, for initialisations that look at data; nothing for the others."""
    if section.init not in LOOKS_AT_DATA:
        return []
    size = 1 if section.init == "corda" else batch_size  # PEFT's CorDA reads one row at a time
    sample = rows[: SAMPLE_BATCHES * batch_size]
    batches = [pad(sample[start : start + size], device=device) for start in range(0, len(sample), size)]
    return [{"input_ids": b.input_ids, "attention_mask": b.attention_mask} for b in batches]


def save_initial_adapter(model: PeftModel, run_dir: Path) -> Path:
    """Write the adapter before its first step, and give its folder; its parent may be deleted afterwards."""
    folder = run_dir / ".initial" / "initial"
    config = model.peft_config["default"]
    # PEFT refuses to subtract an adapter that it would initialise from the base weights once more.
    chosen, config.init_lora_weights = config.init_lora_weights, True
    try:
        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    finally:
        config.init_lora_weights = chosen
    return folder
