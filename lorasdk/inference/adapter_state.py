"""Puts a model into the state that a call asks for: with its adapter or without, and with the adapter made quick.

y = x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ, equation 3 of Hu et al., "LoRA" (2021), with PEFT's parameters and without PEFT's copies.
The weights W stay as they are: merged, they would be rounded to a model that nobody trained or serves, and need the
memory of a second model while a call lasts, to save less than a tenth of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from peft import PeftModel
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora.bnb import Linear4bit, Linear8bitLt
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch.nn.functional import linear

from lorasdk.basemodel.base_biases import base_biases, has_biases_of_its_own

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Forward: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
State: TypeAlias = Callable[[], AbstractContextManager[object]]
"""Enter what it gives while the model computes."""
Forwards: TypeAlias = list[tuple[torch.nn.Module, Forward]]
"""Layers and what they compute for a while."""

PLAIN = (LoraLinear, Linear4bit, Linear8bitLt)
FEW_TOKENS = 32
"""Up to so many, a CPU multiplies small float32 matrices faster than bfloat16 ones."""


def state_of(model: PreTrainedModel | PeftModel, *, adapter: bool) -> State:
    """The state for a call; the model leaves it as it entered it, also after an exception.

    Args:
        model: in evaluation mode; its parameters do not change while the call lasts.
        adapter: whether the adapter takes part, if there is one.
    """
    if not isinstance(model, PeftModel):
        return nullcontext
    layers = _adapted_layers(model)
    plain = [layer for layer in layers if is_plain(layer)]
    if not adapter and (len(plain) < len(layers) or has_biases_of_its_own(model)):
        return lambda: without_adapter(model)
    dtype = model.get_base_model().dtype
    forwards = [(layer, _with_update(layer, dtype) if adapter else layer.get_base_layer().__call__) for layer in plain]
    return lambda: replaced(forwards)


@contextmanager
def without_adapter(model: PeftModel) -> Iterator[None]:
    """Switch the adapter off as PEFT does, layer by layer.

    PEFT's switch also decides what is trained, and its own context leaves everything trained; here that is put back.
    It leaves trained biases in the base; here the base has its own.
    """
    layers = [layer for layer in _adapted_layers(model) if not layer.disable_adapters]
    trained = [(parameter, parameter.requires_grad) for layer in layers for parameter in layer.parameters()]
    try:
        for layer in layers:
            layer.enable_adapters(False)
        with base_biases(model):
            yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for parameter, wanted in trained:
            parameter.requires_grad_(wanted)


def _adapted_layers(model: PeftModel) -> list[BaseTunerLayer | AuxiliaryTrainingWrapper]:
    return [m for m in model.modules() if isinstance(m, BaseTunerLayer | AuxiliaryTrainingWrapper)]


def is_plain(layer: Any) -> bool:  # noqa: ANN401 - PEFT has no types
    """Whether the layer is a linear one to which one adapter adds exactly s·B·A."""
    if type(layer) not in PLAIN or "forward" in vars(layer):
        return False
    names = layer.active_adapters
    return (
        len(names) == 1
        and names[0] in layer.lora_A
        and names[0] not in layer.lora_variant
        and layer.lora_B[names[0]].bias is None
        and not (layer.merged or layer.disable_adapters or layer.fan_in_fan_out)
    )


def _with_update(layer: Any, dtype: torch.dtype) -> Forward:  # noqa: ANN401 - PEFT has no types
    (name,) = layer.active_adapters
    a = layer.lora_A[name].weight.detach()
    sb = layer.lora_B[name].weight.detach() * layer.scaling[name]
    return low_rank_forward(layer.get_base_layer(), a, sb, dtype)


def low_rank_forward(base: Forward, a: torch.Tensor, sb: torch.Tensor, dtype: torch.dtype) -> Forward:
    """A layer's forward with s·(x·Aᵀ)·Bᵀ added.

    Args:
        base: the layer without adapter.
        a: A, (rank, in).
        sb: s·B, (out, rank).
        dtype: what the model computes in.
    """
    if dtype != torch.bfloat16:
        # float16 has too small a range for parameters that were trained in float32.
        return _in_type_of_parameters(base, a, sb)
    return _in_bfloat16(base, a, sb, few=FEW_TOKENS if a.device.type == "cpu" else 0)


def _in_type_of_parameters(base: Forward, a: torch.Tensor, sb: torch.Tensor) -> Forward:
    """As PEFT computes, to the bit but for the order of factors: the sum is rounded once."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        return base(x).add_(linear(linear(x.to(a.dtype), a), sb))

    return forward


def _in_bfloat16(base: Forward, a: torch.Tensor, sb: torch.Tensor, *, few: int) -> Forward:
    """A and B rounded once per call, no input or output copied; up to `few` tokens are left in float32."""
    exact = _in_type_of_parameters(base, a, sb)
    a, sb = a.to(torch.bfloat16), sb.to(torch.bfloat16).T

    def forward(x: torch.Tensor) -> torch.Tensor:
        if x.shape[:-1].numel() <= few:
            return exact(x)
        result = base(x)
        result.view(-1, result.shape[-1]).addmm_(linear(x, a).flatten(0, -2), sb)
        return result

    return forward


@contextmanager
def replaced(forwards: Forwards) -> Iterator[None]:
    """Give layers other forwards, on the instances and never on a class, and put back what was there."""
    # Through the instances' dictionaries: PyTorch's own way of setting attributes asks what each of them is.
    before = [(vars(layer), vars(layer).get("forward")) for layer, _ in forwards]
    try:
        for layer, forward in forwards:
            vars(layer)["forward"] = forward
        yield
    finally:
        for attributes, former in before:
            if former is None:
                attributes.pop("forward", None)
            else:
                attributes["forward"] = former
