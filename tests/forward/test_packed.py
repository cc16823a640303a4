"""Packs are proved against plain padded rows through each model's own forward: loss and every LoRA gradient."""

from __future__ import annotations

import random

import pytest
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
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
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


def loss_and_gradients(model, passes, rows):
    total = torch.zeros(())
    for part in passes.split(rows):
        with passes.ready():
            nats = passes.loss(part)
            nats.backward()
        total += nats.detach()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return total.item(), found


def assert_same(ours, reference):
    (loss, gradients), (true_loss, true_gradients) = ours, reference
    assert loss == pytest.approx(true_loss, rel=1e-5)
    assert gradients.keys() == true_gradients.keys()
    for name, gradient in true_gradients.items():
        assert (gradients[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def packed(model, *, max_tokens: int = 10_000, **changes):
    choice = choose_passes(model, max_tokens=max_tokens, max_rows=None)
    assert isinstance(choice.passes, PackedPasses), choice.why_padded
    return choice.passes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("count", "shared", "nested"), [(1, 0, 0), (2, 40, 0), (5, 0, 0), (16, 40, 40), (64, 40, 33)])
def test_loss_and_gradients_are_those_of_padded_rows(shape: str, count: int, shared: int, nested: int):
    model = build(shape)
    rows = some_rows(count, shared=shared, nested=nested)
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6), rows)
    passes = packed(model)
    assert len(passes.fused) == 4 * len(model.get_base_model().get_decoder().layers) + 1 or shape == "gemma3"
    assert_same(loss_and_gradients(model, passes, rows), reference)
