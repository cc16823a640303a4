"""Says which kernels compute the passes of a model on a CUDA device, and why not the fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import PreTrainedConfig

from lorasdk.events import Notice
from lorasdk.forward.cuda_cross_entropy import choose_head_loss
from lorasdk.forward.flex_attention import HeadShape, flex_obstacle

if TYPE_CHECKING:
    from peft import PeftModel


def kernel_notice(model: PeftModel) -> Notice | None:
    """What packed passes of this model will use; None where there is no choice.

    On CUDA it compiles the attention, so that a compiler that fails is told of before the first step.
    """
    return describe(head_shape(model)) if model.device.type == "cuda" else None


def describe(shape: HeadShape) -> Notice:
    """The notice for a model with such heads."""
    obstacle = flex_obstacle(shape)
    attention = f"batched matrix products, since {obstacle}" if obstacle else "FlexAttention"
    loss = choose_head_loss(device=shape.device, dtype=shape.dtype).name
    return Notice("training.kernels", f"loss by {loss}; attention by {attention}")


def head_shape(model: PeftModel) -> HeadShape:
    """What the model's configuration says of its heads."""
    base = model.get_base_model()
    config: PreTrainedConfig = base.config.get_text_config()
    heads = config.num_attention_heads
    known = config.to_dict()
    size = known.get("head_dim") or config.hidden_size // heads
    return HeadShape(model.device, base.dtype, heads, known.get("num_key_value_heads") or heads, size)
