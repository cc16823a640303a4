"""Puts an adapter on full-precision weights, onto those with which it is closer to the model that was trained.

A model that was trained on quantised weights learnt to make up for their errors. Merged into the original weights it
is another model, and so it is merged into what the quantised ones decode to; which of the two is closer is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bitsandbytes
import torch
from peft.utils.integrations import dequantize_bnb_weight

from lorasdk.artifacts.export_passport import MergingPart
from lorasdk.artifacts.exportable import Exportable
from lorasdk.artifacts.golden import largest_difference, log_probabilities, mean_divergence

if TYPE_CHECKING:
    from peft import PeftModel

QUANTISED = (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)


def closer_model(
    source: Exportable, *, original_only: bool = False
) -> tuple[PeftModel, list[torch.Tensor], MergingPart]:
    """The adapter on full-precision weights, not merged yet.

    Args:
        source: what is exported.
        original_only: take the original weights in any case: tensors that are not adapted will be taken from them.

    Returns:
        The model, in float32 on the CPU; its log-probabilities on the golden prompts, (positions, vocabulary) each, in
        nats; and how the choice was made.
    """
    trained = source.said()
    model = source.full_model()
    original = _said(model, source)
    distances = {"original": mean_divergence(trained, original)}
    chosen, said = "original", original
    if source.base.quantization != "none" and not original_only:
        _put_dequantised(source.model, model)
        dequantised = _said(model, source)
        distances["dequantised"] = mean_divergence(trained, dequantised)
        if distances["dequantised"] < distances["original"]:
            chosen, said = "dequantised", dequantised
        else:
            model = source.full_model()
    apart = max(largest_difference(a, b) for a, b in zip(trained, said, strict=True))
    return model, said, MergingPart(base=chosen, distances=distances, largest_difference=apart)


def _said(model: PeftModel, source: Exportable) -> list[torch.Tensor]:
    return [log_probabilities(model, prompt) for prompt in source.prompts]


@torch.no_grad()
def _put_dequantised(quantised: PeftModel, full: PeftModel) -> None:
    """Replace the weights of `full` by what those of `quantised` decode to, where they are quantised."""
    for name, layer in quantised.named_modules():
        if isinstance(layer, QUANTISED):
            state = layer.state if isinstance(layer, bitsandbytes.nn.Linear8bitLt) else None
            full.get_submodule(name).weight.copy_(dequantize_bnb_weight(layer.weight, state=state))
