"""What cannot be packed is padded, and says why; what is not shown to be right is not used."""

from __future__ import annotations

import pytest
import torch
from tiny_shapes import SHAPES, SIZES, WORDS, build, some_rows
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from lorasdk.engine.lora import attach_lora
from lorasdk.forward import attention_plan, fused_modules
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
from lorasdk.recipe.schema import LoraSection

OTHERS = {
    "mamba": (
        lambda: MambaForCausalLM(MambaConfig(vocab_size=WORDS, hidden_size=16, num_hidden_layers=2)),
        "interface",
    ),
    "gemma2": (lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES)), "softcap"),
    "dropout": (lambda: LlamaForCausalLM(LlamaConfig(**SIZES, attention_dropout=0.1)), "drops attention"),
}


def adapted(base):
    targets = ["in_proj"] if base.config.model_type == "mamba" else "all-linear"
    section = LoraSection.model_validate({"rank": 2, "targets": targets})
    return attach_lora(base.requires_grad_(requires_grad=False), section, seed=0, batches=[])


def choose(model):
    return choose_passes(model, max_tokens=1000, max_rows=None)


@pytest.mark.parametrize("kind", OTHERS)
def test_models_that_cannot_be_packed_are_padded_and_say_why(kind: str):
    make, reason = OTHERS[kind]
    model = adapted(make())
    choice = choose(model)
    assert isinstance(choice.passes, PaddedPasses)
    assert reason in choice.why_padded
    choice.passes.loss(some_rows(3, shared=5, nested=0)).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_learned_positions_are_packed_through_the_models_own_modules():
    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=2, n_head=2, n_positions=64, attn_pdrop=0))
    passes = choose(adapted(base)).passes
    assert isinstance(passes, PackedPasses)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sight_of_other_rows_is_found_out(shape: str, monkeypatch):
    """As if every piece saw all that was before it in the pack."""
    real = attention_plan._pieces

    def leaky(tree):
        return [type(p)(p.start, p.length, ((0, p.start),) if p.start else ()) for p in real(tree)]

    monkeypatch.setattr(attention_plan, "_pieces", leaky)
    choice = choose(build(shape))
    assert isinstance(choice.passes, PaddedPasses)
    assert "saw other tokens" in choice.why_padded


def test_a_fast_forward_that_is_wrong_is_not_used(monkeypatch):
    monkeypatch.setattr(fused_modules, "rms_norm", lambda x, weight, _epsilon: x * weight)
    passes = choose(build("llama")).passes
    assert isinstance(passes, PackedPasses)
    assert passes.fused == ()


def test_positions_that_are_wrong_are_found_out(monkeypatch):
    from lorasdk.forward import packed

    real = packed.PackInputs.of

    def misplaced(tree, device):
        inputs = real(tree, device)
        inputs.position_ids.copy_(torch.arange(inputs.position_ids.shape[1]))
        return inputs

    monkeypatch.setattr(packed.PackInputs, "of", misplaced)
    assert "other hidden states" in choose(build("llama")).why_padded


def test_the_trial_leaves_modes_as_they_were():
    model = build("llama")
    model.train()
    frozen = model.get_base_model().get_decoder().layers[0].eval()
    choose(model)
    assert model.training
    assert not frozen.training


def test_a_head_with_an_adapter_is_not_taken_for_a_plain_one():
    assert choose(build("llama")).passes.plain_head
    assert not choose(build("llama", targets=["q_proj", "lm_head"])).passes.plain_head
