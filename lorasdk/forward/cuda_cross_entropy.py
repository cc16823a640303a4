"""Chooses what computes the cross-entropy of a linear head: a kernel library on CUDA where installed, or our own.

cut-cross-entropy (Wijmans et al., arXiv:2411.09009) never holds a logit in memory; Liger holds chunks, as we do, and
makes softmax and gradient in one kernel. Both are called such that every target counts by its weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import torch

from lorasdk.forward.linear_cross_entropy import linear_cross_entropy

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""From hidden states, head, labels and weights to nats, as `linear_cross_entropy`."""
HALF_PRECISION = {torch.bfloat16, torch.float16}
AMPERE = (8, 0)
"""The oldest CUDA capability that cut-cross-entropy is made for."""


@dataclass(frozen=True, slots=True)
class HeadLoss:
    """A way to compute the loss of the head."""

    name: str
    """``cut-cross-entropy``, ``liger-kernel`` or ``built-in``."""
    nats: Loss


def choose_head_loss(*, device: torch.device, dtype: torch.dtype) -> HeadLoss:
    """The fastest one for hidden states on this device and of this type.

    A library that is installed and cannot be imported raises when it is used: better than a run that is slow in secret.
    """
    if device.type == "cuda":
        new = torch.cuda.get_device_capability(device) >= AMPERE
        if new and dtype in HALF_PRECISION and find_spec("cut_cross_entropy"):
            return HeadLoss("cut-cross-entropy", cut_nats)
        if find_spec("liger_kernel"):
            return HeadLoss("liger-kernel", liger_nats)
    return HeadLoss("built-in", linear_cross_entropy)


def cut_nats(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`linear_cross_entropy` by cut-cross-entropy."""
    from cut_cross_entropy import linear_cross_entropy as cut_cross_entropy

    # Its filter would leave all unlikely tokens out of the gradient: faster, but another gradient than everywhere else.
    nats: torch.Tensor = cut_cross_entropy(hidden, head, labels, reduction="none", filter_eps=None)
    return nats.float() @ weights


def liger_nats(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`linear_cross_entropy` by Liger, in one call per distinct weight.

    Target by target, Liger would compute the logits once more in the backward pass; of a sum it forms the gradient in
    the forward pass. Weights are numbers of rows, nearly always one and the same.
    """
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

    nats = weights.new_zeros(())
    for weight in weights.unique():
        alike = weights == weight
        part = liger_fused_linear_cross_entropy(hidden[alike], head, labels[alike], reduction="sum")
        nats = nats + weight * part.float()
    return nats
