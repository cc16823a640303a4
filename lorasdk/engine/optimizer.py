"""The optimizer: AdamW (arXiv:1711.05101) with decay where it belongs, and its moments by parameter name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

MOMENTS = ("exp_avg", "exp_avg_sq")


def adamw(parameters: Mapping[str, torch.nn.Parameter], weight_decay: float) -> torch.optim.AdamW:
    """AdamW over `parameters`; the learning rate is set before each step.

    Biases and norms, trained with ``bias`` or ``modules_to_save``, are not decayed: the usual practice. The moments
    are there from the start and the update is one fused operation in place, so that a step cannot run out of memory
    half-way.
    """
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)
    for parameter in parameters.values():
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        optimizer.state[parameter] = {"step": step, **{name: torch.zeros_like(parameter) for name in MOMENTS}}
    return optimizer


def moments(optimizer: torch.optim.AdamW, parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    """Copies on the host of all that the optimizer remembers, as ``PARAMETER.NAME``."""
    return {
        f"{name}.{key}": value.to("cpu", copy=True)
        for name, parameter in parameters.items()
        for key, value in optimizer.state[parameter].items()
    }


@torch.no_grad()
def restore_moments(
    optimizer: torch.optim.AdamW, parameters: Mapping[str, torch.nn.Parameter], saved: Mapping[str, torch.Tensor]
) -> None:
    """Put back what `moments` gave."""
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            value.copy_(saved[f"{name}.{key}"])
