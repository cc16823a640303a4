"""Chooses how forward passes are computed: packed where a trial shows that this model can, padded where not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedConfig

from lorasdk.forward.fused_modules import fuse
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
from lorasdk.forward.passes import Passes
from lorasdk.forward.trial import Trial, evaluating

if TYPE_CHECKING:
    from peft import PeftModel

ATTENTION_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Choice:
    """A way to compute forward passes, and why it is not the fast one."""

    passes: Passes
    why_padded: str = ""
    """Empty when passes are packed."""


def choose_passes(model: PeftModel, *, max_tokens: int, max_rows: int | None, checkpointing: bool = False) -> Choice:
    """Try on three tiny rows whether packed passes give this model's own hidden states.

    Args:
        model: with its adapter attached; its mode is left as it was.
        max_tokens: tokens of a pass.
        max_rows: rows of a pass, as many as fit when None.
        checkpointing: whether layers will drop what they keep and compute it again.
    """
    why = _known_obstacle(model)
    if not why:
        leases = model.device.type == "cpu" and not checkpointing
        packed = PackedPasses(model, max_tokens, max_rows, leases=leases)
        with evaluating(model), torch.no_grad():
            trial = Trial.of(model)
            # The fast forwards first, since they nearly always pass.
            for candidate in (replace(packed, fused=fuse(model.get_base_model(), packed.memory)), packed):
                why = trial.failure(candidate)
                if not why:
                    return Choice(replace(candidate, plain_head=trial.has_plain_head()))
    return Choice(PaddedPasses(model, max_tokens, max_rows), why)


def _known_obstacle(model: PeftModel) -> str:
    base = model.get_base_model()
    config: PreTrainedConfig = base.config.get_text_config()
    layers = set(config.to_dict().get("layer_types") or ATTENTION_LAYERS)
    if config.is_encoder_decoder:
        return "it is an encoder-decoder model"
    if not base._supports_attention_backend:
        return "its attention does not go through transformers' attention interface"
    if layers - ATTENTION_LAYERS:
        return f"it has layers of the kinds {', '.join(sorted(layers - ATTENTION_LAYERS))}"
    if config.to_dict().get("attention_dropout"):
        return "its configuration drops attention weights"
    return ""
