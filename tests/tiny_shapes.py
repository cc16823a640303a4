"""Tiny models of several architectures with a LoRA on all of their linear layers, and rows that begin alike."""

from __future__ import annotations

import random

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lorasdk.data.encoding import TokenRow
from lorasdk.engine.lora import attach_lora
from lorasdk.recipe.schema import LoraSection

WORDS = 61
SIZES = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "head_dim": 8,
    "pad_token_id": 0,
    "initializer_range": 0.2,
    "attn_implementation": "eager",
}
GEMMA = {"sliding_window": 7, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"] * 2}
SHAPES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**{**SIZES, **GEMMA, "num_hidden_layers": 4})),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=9)),
}


def build(shape: str, **lora):
    torch.manual_seed(0)
    base = SHAPES[shape]()
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    section = LoraSection.model_validate({"rank": 4, "targets": "all-linear", **lora})
    model = attach_lora(base.requires_grad_(requires_grad=False), section, seed=0, batches=[])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model


def some_rows(count: int, *, shared: int, nested: int, seed: int = 0) -> list[TokenRow]:
    """Rows of many lengths; some begin alike, some of these go on alike, some have several supervised turns."""
    rng = random.Random(seed)
    common, deeper = ([rng.randrange(1, WORDS) for _ in range(n)] for n in (shared, nested))
    rows = []
    for number in range(count):
        own = [rng.randrange(1, WORDS) for _ in range(rng.choice((2, 3, 5, 9, 17)))]
        ids = tuple((common if number % 5 else []) + (deeper if number % 3 else []) + own)
        cut = rng.randrange(1, len(ids))
        spans = ((cut, len(ids)),) if number % 2 or cut < 3 else ((1, 2), (cut, len(ids)))
        rows.append(TokenRow(number + 1, ids, spans))
    return rows
