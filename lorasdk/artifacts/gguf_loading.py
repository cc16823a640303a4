"""Loads a model from a GGUF file through transformers, with what transformers leaves unread of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from gguf import GGUFReader, Keys
from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

from lorasdk.artifacts.gguf_values import decoded
from lorasdk.basemodel.dense_copy import NAME, require_gguf, set_apart, without_bar
from lorasdk.basemodel.load_report import require_complete
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.rotary_scaling import ROPE_FACTORS
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def load_gguf(path: Path) -> PreTrainedModel:
    """The model of a GGUF file, dequantised to float32 on the CPU, in evaluation mode.

    Raises:
        ModelError: the file is no GGUF, or its weights are not whole.
        AdapterError: transformers cannot read it.
    """
    require_gguf(path)
    with tempfile.TemporaryDirectory(prefix="lorasdk-gguf-", ignore_cleanup_errors=True) as temporary:
        alone = Path(temporary) / "from"
        try:
            set_apart(path, alone)
            model = _load(path, alone)
        except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ImportError) as error:
            raise AdapterError(_unreadable(path, error)) from error
    return model


def _load(path: Path, alone: Path) -> PreTrainedModel:
    reader = GGUFReader(path)
    with quiet(), without_bar(), scoped_random(torch.device("cpu")):
        config = AutoConfig.from_pretrained(alone, gguf_file=NAME, local_files_only=True)
        _read_head_size(config, reader)
        model, report = AutoModelForCausalLM.from_pretrained(
            alone,
            config=config,
            gguf_file=NAME,
            local_files_only=True,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
    require_complete(report, place=path)
    _read_rotary_factors(model, reader)
    return model.eval()


def _read_head_size(config: PretrainedConfig, reader: GGUFReader) -> None:
    """Where heads are not as wide as the hidden size divided by their number; transformers reads that of few."""
    found = reader.fields.get(f"{reader.fields[Keys.General.ARCHITECTURE].contents()}.attention.key_length")
    if found is not None:
        config.head_dim = int(found.contents())


def _read_rotary_factors(model: PreTrainedModel, reader: GGUFReader) -> None:
    """What each rotary frequency is divided by, in models whose context was stretched after training."""
    factors = next((tensor for tensor in reader.tensors if tensor.name == ROPE_FACTORS), None)
    if factors is not None:
        model.model.rotary_emb.inv_freq /= decoded(factors)


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(
        code="export.unreadable",
        message=f"transformers cannot read this GGUF file: {error}",
        place=str(path),
        fix="export again",
    )
