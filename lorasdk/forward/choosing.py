"""Chooses how forward passes are computed: packed where a trial shows that this model can, padded where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedConfig

from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.forward.adapted_linear import untouched
from lorasdk.forward.attention_interface import UnknownAttentionError
from lorasdk.forward.fused_modules import fuse
from lorasdk.forward.packed import PackedPasses, PackInputs
from lorasdk.forward.padded import PaddedPasses
from lorasdk.forward.passes import Passes

if TYPE_CHECKING:
    from peft import PeftModel

ATTENTION_LAYERS = {"full_attention", "sliding_attention"}
TRIAL = ((3, 1, 4, 1), (3, 1, 4, 2, 5), (3, 1, 4, 2, 6, 3))
"""Token ids of rows that branch twice."""
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
COARSE_TOLERANCE = 0.05
"""Of hidden states in half precision; a token that saw a wrong one is off by far more."""


@dataclass(frozen=True)
class Choice:
    """A way to compute forward passes, and why it is not the fast one."""

    passes: Passes
    why_padded: str = ""
    """Empty when passes are packed."""


def choose_passes(model: PeftModel, *, max_tokens: int, max_rows: int | None) -> Choice:
    """Try on three tiny rows whether packed passes give this model's own hidden states.

    Args:
        model: with its adapter attached; its mode is left as it was.
        max_tokens: tokens of a pass.
        max_rows: rows of a pass, as many as fit when None.
    """
    why = _known_obstacle(model)
    packed = PackedPasses(model, max_tokens, max_rows, worth_sharing=1)
    if not why:
        with _evaluating(model), torch.no_grad():
            why = _failed_trial(packed)
            if not why:
                with_fused = replace(packed, fused=fuse(model.get_base_model()))
                why_not_fused = _failed_trial(with_fused)
                packed = packed if why_not_fused else with_fused
                packed = replace(packed, plain_head=_has_plain_head(packed))
    if why:
        return Choice(PaddedPasses(model, max_tokens, max_rows), why)
    return Choice(replace(packed, worth_sharing=PackedPasses.worth_sharing))


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


def _failed_trial(packed: PackedPasses) -> str:
    """Why the packed hidden states of the trial's rows are not those of the rows alone; empty when they are."""
    rows = [TokenRow(i, ids, ((1, len(ids)),)) for i, ids in enumerate(TRIAL, 1)]
    tree = PrefixTree.of(rows, worth=1)
    try:
        with packed.ready():
            ours = packed.hidden(PackInputs.of(tree, packed.model.device))
    except (UnknownAttentionError, TypeError) as error:
        return f"a trial of packed rows failed: {error}"
    decoder = packed.model.get_base_model().get_decoder()
    for row, numbers in zip(rows, tree.row_targets, strict=True):
        ids = torch.tensor([row.ids], device=packed.model.device)
        alone = decoder(input_ids=ids, use_cache=False).last_hidden_state[0, :-1]
        difference = ((ours[list(numbers)] - alone).norm() / alone.norm()).item()
        if not difference <= TOLERANCE.get(alone.dtype, COARSE_TOLERANCE):
            return f"in a trial, packed rows gave other hidden states than the same rows alone (by {difference:.1e})"
    return ""


def _has_plain_head(packed: PackedPasses) -> bool:
    base = packed.model.get_base_model()
    head = base.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.bias is not None or head.weight.requires_grad or not untouched(head):
        return False
    inputs = {"input_ids": torch.tensor([TRIAL[0]], device=packed.model.device), "use_cache": False}
    states = base.get_decoder()(**inputs).last_hidden_state
    return torch.equal(base(**inputs).logits, head(states))


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    modes: Sequence[tuple[torch.nn.Module, bool]] = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
