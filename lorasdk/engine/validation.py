"""Measures validation rows with the model as it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.batches import micro_batches, pad
from lorasdk.engine.loss import can_share_prefix, supervised_loss

if TYPE_CHECKING:
    from peft import PeftModel

MAX_EXPONENT = 700.0
"""exp() of more overflows a double."""


@torch.inference_mode()
def measure(
    model: PeftModel, rows: Sequence[TokenRow], *, batch_size: int, between: Callable[[], None]
) -> dict[str, float]:
    """Loss, perplexity and token accuracy over all supervised tokens of `rows`.

    Args:
        model: put into evaluation mode for the measurement and back afterwards.
        rows: at least one, with supervised tokens.
        batch_size: rows per forward pass.
        between: called before each forward pass; may raise to end the measurement.
    """
    training = model.training
    model.eval()
    try:
        nats, correct = 0.0, 0
        share_prefix = can_share_prefix(model)
        for part in micro_batches(rows, batch_size):
            between()
            loss = supervised_loss(model, pad(part, device=model.device, share_prefix=share_prefix))
            nats += loss.nats.item()
            correct += int(loss.correct.item())
    finally:
        model.train(training)
    tokens = sum(row.supervised_tokens for row in rows)
    mean = nats / tokens
    return {"loss": mean, "perplexity": math.exp(min(mean, MAX_EXPONENT)), "token_accuracy": correct / tokens}
