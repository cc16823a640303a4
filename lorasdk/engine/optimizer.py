"""The optimizer: AdamW (arXiv:1711.05101) with decay where it belongs."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def adamw(parameters: Sequence[torch.nn.Parameter], weight_decay: float) -> torch.optim.AdamW:
    """AdamW over `parameters`; the learning rate is set before each step.

    Biases and norms, trained with ``bias`` or ``modules_to_save``, are not decayed: the usual practice.
    """
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)
