"""Makes bitsandbytes' 4-bit layers right on a CPU, or refuses them; measured with bitsandbytes 0.50.2.

Two of its CPU kernels give wrong results without a word: one has no gradient, the other mixes up the scales of rows.
"""

from __future__ import annotations

import bitsandbytes
from torch import nn

from lorasdk.errors import ModelError, Problem

BLOCK = 64
"""Weights that share one scale."""
SHOWN = 3


def settle_four_bit_layers(model: nn.Module) -> None:
    """Keep the 4-bit layers of a model on a CPU trainable, for good.

    Raises:
        ModelError: a layer's rows are no whole number of blocks.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    # The vectorised unpacking takes every row to begin a new block, and decodes the others with wrong scales.
    ragged = {name: layer.in_features for name, layer in layers.items() if layer.in_features % BLOCK}
    if ragged:
        raise ModelError(_ragged(ragged))
    for layer in layers.values():
        # Answering once in evaluation mode would repack the weights for a product that has no gradient, and every
        # later training step would silently lose the gradients of all layers below.
        layer.support_avx512bf16_for_cpu = False


def _ragged(layers: dict[str, int]) -> Problem:
    shown = [f"{name} ({size})" for name, size in list(layers.items())[:SHOWN]]
    return Problem(
        code="device.quantization-unsupported",
        message=f"the device cpu does not unpack nf4 rightly when a layer's inputs are no multiple of {BLOCK}",
        field="base_model.quantization",
        found=", ".join(shown) + (", …" if len(layers) > SHOWN else ""),
        allowed="for this model on cpu: none, int8; nf4 on cuda",
        fix="set base_model.quantization: int8 or none",
    )
