"""The loss: cross-entropy summed over supervised tokens, logits computed only where there are any."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from transformers.cache_utils import DynamicCache, DynamicLayer

from lorasdk.engine.batches import IGNORED, PaddedBatch

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True, slots=True)
class BatchLoss:
    """Sums over the supervised tokens of a batch; divide by their number for means."""

    nats: torch.Tensor
    """() float32, differentiable: summed negative log-likelihood."""
    correct: torch.Tensor
    """() int64: tokens that were the likeliest."""


def supervised_loss(model: PeftModel, batch: PaddedBatch) -> BatchLoss:
    """Sum of −log p(token | everything before it in its row) over the batch's supervised tokens.

    Args:
        model: called with ``logits_to_keep`` where its forward knows it.
        batch: padded rows; labels of (rows, kept).
    """
    logits = _kept_logits(model, batch).float()
    nats = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum")
    correct = ((logits.argmax(-1) == batch.labels) & (batch.labels != IGNORED)).sum()
    return BatchLoss(nats, correct)


def can_share_prefix(model: PeftModel) -> bool:
    """Whether rows may attend to a prefix that was computed once, through the model's own key/value cache.

    Not with state-space layers or sliding windows, whose caches forget.
    """
    base = model.get_base_model()
    if "past_key_values" not in inspect.signature(base.forward).parameters:
        return False
    layers = DynamicCache(config=base.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def _kept_logits(model: PeftModel, batch: PaddedBatch) -> torch.Tensor:
    """(rows, kept, vocabulary): logits at the kept positions."""
    known = inspect.signature(model.get_base_model().forward).parameters
    inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
    if len(batch.prefix_ids):
        inputs.update(past_key_values=_prefix_cache(model, batch), use_cache=True)
    if "position_ids" in known:
        inputs["position_ids"] = batch.position_ids
    if "logits_to_keep" in known:
        logits: torch.Tensor = model(**inputs, logits_to_keep=batch.keep).logits
        return logits
    all_logits: torch.Tensor = model(**inputs).logits
    return all_logits[:, batch.keep]


def _prefix_cache(model: PeftModel, batch: PaddedBatch) -> DynamicCache:
    """Keys and values of the shared prefix, computed once and differentiable, repeated for each row."""
    cache = DynamicCache(config=model.get_base_model().config)
    # The decoder alone: nobody asks for the prefix's logits.
    model.get_base_model().get_decoder()(input_ids=batch.prefix_ids[None], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(batch.input_ids))
    return cache
