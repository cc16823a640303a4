"""Reads linear layers, with PEFT's LoRA on them or without, as projections that we compute ourselves.

What this does not read, PEFT and transformers compute as always.
"""

from __future__ import annotations

from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora.bnb import Linear4bit as LoraLinear4bit

from lorasdk.forward.projections import Projection, Update


def projections_of(*modules: torch.nn.Module) -> tuple[Projection, ...] | None:
    """The modules as projections; None if one does something else, or their inputs are dropped differently."""
    read = [_projection(module) for module in modules]
    known = [projection for projection in read if projection is not None]
    dropouts = {projection.update.dropout for projection in known if projection.update is not None}
    return tuple(known) if len(known) == len(modules) and len(dropouts) <= 1 else None


def untouched(module: torch.nn.Module) -> bool:
    """Whether calling the module runs its class's forward and nothing else."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return "forward" not in vars(module) and not any(hooks)


def _projection(module: torch.nn.Module) -> Projection | None:
    if not untouched(module):
        return None
    if type(module) in {LoraLinear, LoraLinear4bit}:
        return _without_update(module) if module.disable_adapters else _with_update(module)
    return _frozen(module)


def _without_update(layer: Any) -> Projection | None:
    """A layer whose adapter is switched off: the frozen layer that PEFT calls then."""
    return None if layer.merged else _frozen(layer.get_base_layer())


def _with_update(layer: Any) -> Projection | None:
    base, names = _frozen(layer.get_base_layer()), layer.active_adapters
    if base is None or len(names) != 1 or names[0] not in layer.lora_A or not _is_plain(layer, names[0]):
        return None
    name = names[0]
    dropout = layer.lora_dropout[name]
    update = Update(
        a=layer.lora_A[name].weight,
        b=layer.lora_B[name].weight,
        scaling=layer.scaling[name],
        dropout=dropout.p if isinstance(dropout, torch.nn.Dropout) else 0.0,
    )
    return Projection(base.weight, base.bias, update)


def _is_plain(layer: Any, name: str) -> bool:
    """Whether the adapter adds exactly s·B·A to the layer."""
    biased = layer.lora_B[name].bias is not None
    return not (layer.merged or layer.disable_adapters or name in layer.lora_variant or layer.fan_in_fan_out or biased)


def _frozen(module: Any) -> Projection | None:
    if not untouched(module) or any(parameter.requires_grad for parameter in module.parameters()):
        return None
    if type(module) is torch.nn.Linear:
        return Projection(lambda: module.weight, module.bias, None)
    if type(module) is Linear4bit and _computes_as_stored(module):
        return Projection(lambda: _dense(module), module.bias, None)
    return None


def _computes_as_stored(module: Any) -> bool:
    """Whether the layer multiplies in the dtype that its weights come back in, rather than casting around the product.

    A layer that was not told a dtype takes that of its first input.
    """
    return module.compute_dtype in {None, module.weight.quant_state.dtype}


def _dense(module: Any) -> torch.Tensor:
    """The matrix behind four-bit weights, in the dtype that they were quantised from."""
    dense: torch.Tensor = dequantize_4bit(module.weight.data, module.weight.quant_state)
    return dense
