"""Finds the model that computes, with a PEFT wrapper around it or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft import PeftModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def unwrapped(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model under the wrapper, if there is one.

    PEFT adapts in place: what is wrapped carries the adapter, and its forward has the model's own signature.
    """
    return model.get_base_model() if isinstance(model, PeftModel) else model
