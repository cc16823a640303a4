"""Writes a fine-tuned model as a GGUF file of its own: hyper-parameters, tokenizer and every tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType

from lorasdk.artifacts.gguf_architectures import rope_of
from lorasdk.artifacts.gguf_file import PlannedTensor, planned, readable_name, write_file
from lorasdk.artifacts.gguf_layout import Layout
from lorasdk.artifacts.gguf_tokenizer import add_tokenizer, end_of_turn
from lorasdk.basemodel.rotary_scaling import ROPE_FACTORS

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

FILE_TYPES = {
    GGMLQuantizationType.F32: LlamaFileType.ALL_F32,
    GGMLQuantizationType.F16: LlamaFileType.MOSTLY_F16,
    GGMLQuantizationType.BF16: LlamaFileType.MOSTLY_BF16,
    GGMLQuantizationType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
}


def write_converted(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    path: Path,
    *,
    kind: GGMLQuantizationType,
    name: str,
    chat_template: str | None,
) -> None:
    """Write `path`.

    Args:
        model: merged, float32, on the CPU, of a configuration that `require_exportable` let pass.
        tokenizer: of the model.
        path: is made.
        kind: number format of the matrices.
        name: goes into ``general.name``.
        chat_template: Jinja, if there is one.

    Raises:
        AdapterError: the tokenizer is of a kind that llama.cpp is not known to have.
    """
    layout = Layout.of(model.config)
    writer = GGUFWriter(None, layout.architecture.name)
    writer.add_type("model")
    writer.add_name(readable_name(name))
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(2)
    _add_hyper_parameters(writer, model.config)
    add_tokenizer(writer, tokenizer, rows=model.get_input_embeddings().weight.shape[0])
    last = end_of_turn(model.generation_config, tokenizer.eos_token_id)
    if last is not None:
        writer.add_eot_token_id(last)
    if chat_template:
        writer.add_chat_template(chat_template)
    write_file(path, writer, list(_tensors(model, layout, kind)))


def _add_hyper_parameters(writer: GGUFWriter, config: PretrainedConfig) -> None:
    writer.add_context_length(_context(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope_of(config)["rope_theta"]))
    writer.add_vocab_size(config.vocab_size)
    size = _head_size(config)
    writer.add_rope_dimension_count(size)
    if size * config.num_attention_heads != config.hidden_size or config.model_type == "qwen3":
        writer.add_key_length(size)
        writer.add_value_length(size)


def _context(config: PretrainedConfig) -> int:
    """Up to the window that attention slides over there is no difference; llama.cpp slides none in these families."""
    values = config.to_dict()
    window = values.get("sliding_window") if values.get("use_sliding_window", True) else None
    context: int = values["max_position_embeddings"]
    return min(context, window or context)


def _head_size(config: PretrainedConfig) -> int:
    size: int = config.to_dict().get("head_dim") or config.hidden_size // config.num_attention_heads
    return size


def _tensors(model: PreTrainedModel, layout: Layout, kind: GGMLQuantizationType) -> Iterator[PlannedTensor]:
    factors = _rotary_factors(model.config)
    if factors is not None:
        yield planned(ROPE_FACTORS, factors.shape, GGMLQuantizationType.F32, lambda: factors)
    values = model.state_dict()
    output = model.get_output_embeddings().weight
    tied = output.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    for name, tensor in values.items():
        if not (tied and name == "lm_head.weight"):
            yield planned(layout.file_name(name), tensor.shape, kind, partial(layout.to_file, name, tensor))


def _rotary_factors(config: PretrainedConfig) -> torch.Tensor | None:
    """What Llama 3.1 divides each rotary frequency by: nothing for short waves, ``factor`` for long ones.

    As transformers' ``_compute_llama3_parameters``; llama.cpp takes the result as a tensor.
    """
    rope = rope_of(config)
    if rope["rope_type"] != "llama3":
        return None
    size, theta = _head_size(config), float(rope["rope_theta"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    waves = 2 * math.pi * theta ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    smooth = ((float(rope["original_max_position_embeddings"]) / waves - low) / (high - low)).clamp(0, 1)
    return (1 / ((1 - smooth) / float(rope["factor"]) + smooth)).float()
