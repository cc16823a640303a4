"""Finds the model that computes, with a PEFT wrapper around it or without, and takes PEFT's layers out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def unwrapped(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model under the wrapper, if there is one.

    PEFT adapts in place: what is wrapped carries the adapter, and its forward has the model's own signature.
    """
    return model.get_base_model() if isinstance(model, PeftModel) else model


def remove_tuner_layers(model: PreTrainedModel) -> None:
    """Put back the layers that PEFT has replaced in a base model, also where it gave up half-way."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BaseTunerLayer):
                setattr(parent, name, child.get_base_layer())
            elif isinstance(child, AuxiliaryTrainingWrapper):
                setattr(parent, name, child.original_module)
    vars(model).pop("peft_config", None)
    model.requires_grad_(requires_grad=False)
