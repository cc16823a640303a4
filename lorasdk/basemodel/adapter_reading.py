"""Reads the two files of a PEFT adapter, and makes PEFT's settings only of what is harmless and fits together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import load_file

from lorasdk.basemodel.adapter_config import CONFIG, WEIGHTS, read_adapter_config
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.safetensors_header import read_stored_tensors
from lorasdk.errors import AdapterError, Problem

PICKLED = "adapter_model.bin"
REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    re.error,
)
"""What PEFT raises for settings that it cannot use; a pattern of names may be none."""


def read_adapter(adapter_dir: Path, *, trainable: bool) -> tuple[LoraConfig, dict[str, torch.Tensor]]:
    """Settings and weights of an adapter.

    Args:
        adapter_dir: a PEFT adapter folder.
        trainable: whether its parameters shall require gradients.

    Raises:
        AdapterError: as `read_adapter_config`; or PEFT refuses the settings, or the weights are pickled or damaged.
    """
    settings = read_adapter_config(adapter_dir)
    weights = _read_weights(adapter_dir)
    _require_ranks(adapter_dir / CONFIG, settings, weights)
    known = {field.name for field in fields(LoraConfig)}
    with quiet():
        try:
            config = LoraConfig(**{key: value for key, value in settings.items() if key in known - {"peft_type"}})
        except REFUSALS as error:
            raise AdapterError(refused(adapter_dir / CONFIG, error)) from error
    config.inference_mode = not trainable
    return config, weights


def _require_ranks(path: Path, settings: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse ranks that no matrix of the adapter has, before PEFT makes matrices of them and fills the memory."""
    largest = max((size for tensor in weights.values() for size in tensor.shape), default=0)
    pattern = settings.get("rank_pattern") or {}
    named = [settings.get("r", 1), *(pattern.values() if isinstance(pattern, Mapping) else [None])]
    wrong = [rank for rank in named if type(rank) is not int or not 1 <= rank <= largest]
    if wrong:
        raise AdapterError(refused(path, ValueError(f"no matrix of it has the rank {str(wrong[0])[:40]}")))


def _read_weights(adapter_dir: Path) -> dict[str, torch.Tensor]:
    path = adapter_dir / WEIGHTS
    if not path.is_file():
        raise AdapterError(_no_weights(adapter_dir))
    read_stored_tensors(path, error=AdapterError)
    weights: dict[str, torch.Tensor] = load_file(path)
    return weights


def refused(path: Path, error: Exception) -> Problem:
    """What is said of an adapter that PEFT does not take."""
    return Problem(
        code="adapter.refused",
        message=f"PEFT cannot use this adapter: {error}",
        place=str(path),
        fix="load the adapter on its own base model, with the version of peft that saved it or a newer one",
    )


def _no_weights(adapter_dir: Path) -> Problem:
    pickled = (adapter_dir / PICKLED).is_file()
    return Problem(
        code="adapter.pickled-weights" if pickled else "adapter.absent",
        message="the weights are pickled, which can run any code when they are read"
        if pickled
        else "the adapter has no weights",
        place=str(adapter_dir),
        found=PICKLED if pickled else "",
        allowed=WEIGHTS,
        fix="load it with peft in an environment you trust and save it again: save_pretrained(safe_serialization=True)"
        if pickled
        else "fetch the adapter again",
    )
