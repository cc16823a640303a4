"""Reads a saved adapter as matrices by layer, without touching the base model that others are answering with.

PEFT says which layers of a model an adapter has, with which rank and which scaling. It is asked about a skeleton of the
base model, which has its layers and no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper

from lorasdk.basemodel.adapter_config import CONFIG
from lorasdk.basemodel.adapter_reading import REFUSALS, read_adapter, refused
from lorasdk.basemodel.loading import LoadedBase
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.saved_adapter import require_matching
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.errors import AdapterError, Problem

NAME = "default"
MORE = {
    "bias": "none",
    "lora_bias": False,
    "modules_to_save": None,
    "target_parameters": None,
    "trainable_token_indices": None,
    "use_dora": False,
}
"""Settings by which an adapter does more than add matrices to linear layers, and what they are when it does not."""


@dataclass(frozen=True, eq=False)
class LowRank:
    """What an adapter adds to one linear layer: s·(x·Aᵀ)·Bᵀ, equation 3 of Hu et al., "LoRA" (2021)."""

    a: torch.Tensor
    """A, (rank, in) float32."""
    sb: torch.Tensor
    """s·B, (out, rank) float32."""


def read_low_rank(base: LoadedBase, adapter_dir: Path) -> dict[str, LowRank]:
    """The matrices of a saved adapter by the path of their layer in the base model, on its device.

    Raises:
        AdapterError: as `attach_saved_adapter`; or the adapter does more than add matrices to linear layers.
    """
    config, weights = read_adapter(adapter_dir, trainable=False)
    _require_plain(config, adapter_dir)
    # The weights are there; whatever initialisation they began with would be computed for nothing.
    config.init_lora_weights = True
    with _translated(adapter_dir), scoped_random(torch.device("cpu")), torch.device("meta"):
        model = get_peft_model(_skeleton(base), config, adapter_name=NAME)
        expected = get_peft_model_state_dict(model, adapter_name=NAME, save_embedding_layers=False)
    require_matching(expected, weights, base, adapter_dir)
    return {path: _matrices(layer, path, weights, base.model.device) for path, layer in _layers(model, adapter_dir)}


def _skeleton(base: LoadedBase) -> Any:  # noqa: ANN401 - PEFT takes any module
    """The base model's layers without their weights; the caller is on the meta device."""
    return type(base.model)(base.model.config)


def _layers(model: PeftModel, adapter_dir: Path) -> Iterator[tuple[str, Any]]:
    for path, layer in model.get_base_model().named_modules():
        if not isinstance(layer, BaseTunerLayer | AuxiliaryTrainingWrapper):
            continue
        if type(layer) is not LoraLinear or layer.lora_variant:
            raise AdapterError(_does_more(adapter_dir, "target_modules", f"{path}: {type(layer).__name__}"))
        yield path, layer


def _matrices(layer: Any, path: str, weights: Mapping[str, torch.Tensor], device: torch.device) -> LowRank:  # noqa: ANN401
    a, b = (weights[f"base_model.model.{path}.lora_{letter}.weight"] for letter in "AB")
    return LowRank(a.float().to(device), b.float().mul(layer.scaling[NAME]).to(device))


def _require_plain(config: LoraConfig, adapter_dir: Path) -> None:
    settings = vars(config)
    used = {key: settings[key] for key, neutral in MORE.items() if settings.get(key) and settings[key] != neutral}
    if used:
        raise AdapterError(*(_does_more(adapter_dir, key, f"{key}: {value}"[:120]) for key, value in used.items()))


@contextmanager
def _translated(adapter_dir: Path) -> Iterator[None]:
    """PEFT's refusals in our words."""
    with quiet():
        try:
            yield
        except REFUSALS as error:
            if isinstance(error, AdapterError):
                raise
            raise AdapterError(refused(adapter_dir, error)) from error


def _does_more(adapter_dir: Path, key: str, found: str) -> Problem:
    return Problem(
        code="adapter.not-mixable",
        message="the adapter does more than add matrices to linear layers, so it cannot answer beside others",
        place=str(adapter_dir / CONFIG),
        field=key,
        found=found,
        allowed="LoRA on linear layers: no DoRA, no biases, no layers or tokens trained whole",
        fix="open it alone: FineTuner.from_adapter(…)",
    )
