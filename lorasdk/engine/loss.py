"""The loss: cross-entropy summed over supervised tokens, logits computed only where there are any."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

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


def _kept_logits(model: PeftModel, batch: PaddedBatch) -> torch.Tensor:
    """(rows, kept, vocabulary): logits at the kept positions."""
    known = inspect.signature(model.get_base_model().forward).parameters
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
    if "position_ids" in known:
        inputs["position_ids"] = batch.position_ids
    if "logits_to_keep" in known:
        logits: torch.Tensor = model(**inputs, logits_to_keep=batch.keep).logits
        return logits
    all_logits: torch.Tensor = model(**inputs).logits
    return all_logits[:, batch.keep]
