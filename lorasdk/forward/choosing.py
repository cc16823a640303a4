"""Chooses how forward passes are computed: packed where a trial shows that this model can, padded where not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from lorasdk.basemodel.scoped_random import global_states, scoped_random
from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.forward.fused_modules import fuse, keyed_dropouts
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
from lorasdk.forward.pass_randomness import PassRandomness
from lorasdk.forward.passes import Passes
from lorasdk.forward.trial import Trial, evaluating, trial_rows

if TYPE_CHECKING:
    from peft import PeftModel

ATTENTION_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Choice:
    """A way to compute forward passes, and why it is not the fast one."""

    passes: Passes
    why_padded: str = ""
    """Empty when passes are packed."""


def choose_passes(
    model: PreTrainedModel | PeftModel, *, max_tokens: int, max_rows: int | None, checkpointing: bool = False
) -> Choice:
    """Try on three tiny rows whether packed passes give this model's own hidden states.

    Args:
        model: in the state it will compute in, its adapter attached and on or off; its mode is left as it was.
        max_tokens: tokens of a pass.
        max_rows: rows of a pass, as many as fit when None.
        checkpointing: whether layers will drop what they keep and compute it again.
    """
    leases = model.device.type == "cpu" and not checkpointing
    packed = PackedPasses(model, max_tokens, max_rows, leases=leases)
    with evaluating(model), torch.no_grad():
        why = _known_obstacle(model)
        if not why:
            trial = Trial.of(model)
            # The fast forwards first, since they nearly always pass.
            for candidate in (_fused(packed), _unfused(packed)):
                why = trial.failure(candidate)
                if not why:
                    _see_who_draws(candidate, candidate.randomness)
                    return Choice(replace(candidate, plain_head=trial.has_plain_head()))
        randomness = PassRandomness()
        padded = PaddedPasses(model, max_tokens, max_rows, keyed_dropouts(model, randomness), randomness)
        _see_who_draws(padded, randomness)
    return Choice(padded, why)


def _fused(packed: PackedPasses) -> PackedPasses:
    randomness, base = PassRandomness(), unwrapped(packed.model)
    parts = fuse(base, packed.memory, randomness) + keyed_dropouts(base, randomness)
    return replace(packed, fused=parts, randomness=randomness)


def _unfused(packed: PackedPasses) -> PackedPasses:
    randomness = PassRandomness()
    return replace(packed, fused=keyed_dropouts(unwrapped(packed.model), randomness), randomness=randomness)


def _see_who_draws(passes: PackedPasses | PaddedPasses, randomness: PassRandomness) -> None:
    """Lend the global generators to passes whose model draws from them by itself, as a trial in training mode shows."""
    model = passes.model
    model.train()
    with scoped_random(model.device):
        before = global_states(model.device)
        with passes.ready():
            passes.loss(trial_rows(model))
        after = global_states(model.device)
    model.eval()
    randomness.borrows_global = not all(map(torch.equal, before, after))


def _known_obstacle(model: PreTrainedModel | PeftModel) -> str:
    base = unwrapped(model)
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
