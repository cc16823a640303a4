"""Takes an adapter apart into pairs of matrices with a factor each, and refuses what is more than that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft.utils.other import get_pattern_key

from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PretrainedConfig

PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
SWITCHES = {
    "use_dora": "DoRA",
    "lora_bias": "biases of the matrices",
    "modules_to_save": "whole trained layers",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "adapted parameters that are no layers",
    "layer_replication": "repeated layers",
    "fan_in_fan_out": "transposed layers",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "use_bdlora": "block-diagonal LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
}
"""Settings of PEFT with which an adapter is more than one product of two matrices for each layer, and their names."""


@dataclass(frozen=True)
class Pair:
    """What an adapter adds to a layer: ``scale * b @ a``."""

    layer: str
    """As the base model calls it."""
    a: torch.Tensor
    """(rank, inputs)"""
    b: torch.Tensor
    """(outputs, rank)"""
    scale: float

    @property
    def rank(self) -> int:
        """Columns of `b`."""
        return self.b.shape[1]


def pairs_of(
    config: LoraConfig, weights: Mapping[str, torch.Tensor], base: PretrainedConfig, *, place: Path
) -> list[Pair]:
    """The pairs of an adapter, by layer.

    Args:
        config: PEFT's settings of the adapter.
        weights: by PEFT's names.
        base: of the base model.
        place: where the adapter lies, for the error.

    Raises:
        AdapterError: it does more than to add a product of two matrices to linear layers.
    """
    more = [*_more(config, weights, base)]
    if more:
        raise AdapterError(*(_inexpressible(what, place) for what in more))
    layers = sorted(key.removeprefix(PREFIX).removesuffix(A) for key in weights if key.endswith(A))
    return [
        Pair(layer, a := weights[f"{PREFIX}{layer}{A}"], weights[f"{PREFIX}{layer}{B}"], _scale(config, layer, len(a)))
        for layer in layers
    ]


def _more(config: LoraConfig, weights: Mapping[str, torch.Tensor], base: PretrainedConfig) -> Iterator[str]:
    settings = config.to_dict()
    yield from (f"{name} ({key})" for key, name in SWITCHES.items() if settings.get(key))
    if config.bias != "none":
        yield f"trained biases (bias: {config.bias})"
    if base.tie_word_embeddings and f"{PREFIX}lm_head{A}" in weights:
        yield "an adapted output layer that shares its weights with the embedding (lm_head)"
    strange = [key for key in weights if not key.endswith((A, B))]
    if strange:
        yield f"{len(strange)} tensors that are no such matrices ({strange[0]})"


def _scale(config: LoraConfig, layer: str, rank: int) -> float:
    """As PEFT scales the layer: its rank is that of its matrices, its alpha may have a pattern of its own."""
    alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern.keys(), layer), config.lora_alpha)
    return float(alpha) / (math.sqrt(rank) if config.use_rslora else rank)


def _inexpressible(what: str, place: Path) -> Problem:
    return Problem(
        code="export.adapter-too-rich",
        message=f"llama.cpp's adapter format cannot say {what}",
        place=str(place),
        field="format",
        found=what,
        allowed="products of two matrices, added to linear layers",
        fix='export with format="gguf", which merges the adapter into the model',
    )
