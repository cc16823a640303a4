"""Keeps the base model's own biases when an adapter trains biases: PEFT changes them in place, also where it is off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer

NAME = "bias_of_base"
"""Buffer beside a bias that an adapter has; it is saved nowhere."""


def keep_base_biases(model: PeftModel) -> None:
    """Copy the biases that the adapter of `model` has, before they are trained or loaded."""
    wanted = model.peft_config[model.active_adapter].bias
    if wanted == "none":
        return
    base = model.get_base_model()
    layers = (m for m in base.modules() if isinstance(m, BaseTunerLayer))
    owners = [layer.get_base_layer() for layer in layers] if wanted == "lora_only" else list(base.modules())
    for owner in owners:
        bias = owner._parameters.get("bias")  # noqa: SLF001 - the parameters that are its own
        if bias is not None:
            owner.register_buffer(NAME, bias.detach().clone(), persistent=False)


@contextmanager
def base_biases(model: torch.nn.Module) -> Iterator[None]:
    """While open, the model has its base's own biases."""
    owners = [module for module in model.modules() if NAME in module._buffers]  # noqa: SLF001 - as above
    _exchange(owners)
    try:
        yield
    finally:
        _exchange(owners)


def has_biases_of_its_own(model: torch.nn.Module) -> bool:
    """Whether the adapter on `model` changes biases of the base."""
    return any(NAME in module._buffers for module in model.modules())  # noqa: SLF001 - as above


def _exchange(owners: list[Any]) -> None:
    for owner in owners:
        kept = getattr(owner, NAME)
        here = owner.bias.detach().clone()
        owner.bias.data.copy_(kept)
        kept.copy_(here)
