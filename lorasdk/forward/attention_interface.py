"""Our attention under a name in transformers' public registry, for attention modules that stay as they are.

An implementation without a mask function gets no mask from transformers, so a pack's tokens may be one flat sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import AttentionInterface, PreTrainedModel

from lorasdk.forward.attention_plan import AttentionPlan
from lorasdk.forward.tree_attention import tree_attention

NAME = "lorasdk_prefix_tree"
HARMLESS = frozenset(
    {"cache_position", "is_causal", "output_attentions", "output_hidden_states", "position_ids", "use_cache"}
)
"""Arguments that change nothing about what is computed here."""


class UnknownAttentionError(Exception):
    """An attention module asks for something that the prefix tree does not do."""


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    pack: AttentionPlan,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """The attention function, on (1, heads, tokens, head size); gives (1, tokens, heads, head size).

    Raises:
        UnknownAttentionError: there is a mask, dropout, or an argument such as soft-capping.
    """
    asked = sorted(name for name, value in others.items() if value is not None and name not in HARMLESS)
    if attention_mask is not None or dropout or asked:
        raise UnknownAttentionError(f"{type(module).__name__}: mask, dropout or {', '.join(asked)}")
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    return tree_attention(q, k, v, pack, scaling=scaling, window=sliding_window)[None], None


@contextmanager
def attending(model: PreTrainedModel) -> Iterator[None]:
    """Let the model attend through `attend`, and put back what it had."""
    AttentionInterface.register(NAME, attend)
    configs = {id(m.config): m.config for m in model.modules() if isinstance(m, PreTrainedModel)}.values()
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs:
            config._attn_implementation = NAME
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name
