"""What cannot be written as GGUF is refused by name, before any heavy work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from transformers import AutoTokenizer, GPT2Config, LlamaConfig, Qwen2Config, Qwen3Config

from lorasdk.artifacts.gguf_adapter_pairs import pairs_of
from lorasdk.artifacts.gguf_layout import Layout
from lorasdk.artifacts.gguf_model import require_exportable
from lorasdk.artifacts.gguf_pre_tokenizers import pre_tokenizer_name
from lorasdk.artifacts.gguf_tokenizer import add_tokenizer
from lorasdk.artifacts.gguf_values import type_named
from lorasdk.errors import AdapterError

PREFIX = "base_model.model.model.layers.0.self_attn.q_proj"
PAIR = {f"{PREFIX}.lora_A.weight": torch.ones(2, 8), f"{PREFIX}.lora_B.weight": torch.ones(8, 2)}


def test_I101_an_unsupported_architecture_is_told_which_ones_are_supported():
    with pytest.raises(AdapterError) as caught:
        require_exportable(GPT2Config(), None)
    (problem,) = caught.value.problems
    assert (problem.code, problem.found) == ("export.unsupported-architecture", "gpt2")
    assert problem.allowed == "llama, mistral, qwen2, qwen3"


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (LlamaConfig(attention_bias=True, mlp_bias=True), ["attention_bias", "mlp_bias"]),
        (Qwen3Config(attention_bias=True, hidden_act="gelu"), ["attention_bias", "hidden_act"]),
        (Qwen2Config(use_sliding_window=True, sliding_window=64), ["use_sliding_window"]),
        (
            LlamaConfig(rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}),
            ["partial_rotary_factor"],
        ),
        (
            LlamaConfig(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
            ["rope_parameters.rope_type"],
        ),
    ],
)
def test_settings_that_a_file_cannot_say_are_refused_together(config, fields: list[str]):
    with pytest.raises(AdapterError) as caught:
        require_exportable(config, None)
    assert [problem.field for problem in caught.value.problems] == fields
    assert {problem.code for problem in caught.value.problems} == {"export.unsupported-setting"}


def test_a_tensor_without_a_name_in_the_file_is_refused():
    with pytest.raises(AdapterError) as caught:
        Layout.of(LlamaConfig()).file_name("model.layers.0.self_attn.novelty.weight")
    assert caught.value.code == "export.unsupported-tensor"


def test_an_unknown_number_format_is_refused():
    with pytest.raises(AdapterError, match="f32, f16, bf16, q8_0"):
        type_named("q4_k_m")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "whole trained layers"),
        ({"trainable_token_indices": [1]}, "trained tokens"),
    ],
)
def test_an_adapter_that_does_more_is_refused_by_name(settings, told: str):
    with pytest.raises(AdapterError, match=told) as caught:
        pairs_of(LoraConfig(**settings), PAIR, LlamaConfig(), place=Path("adapter"))
    assert caught.value.code == "export.adapter-too-rich"


def test_an_adapter_on_an_output_layer_that_is_the_embedding_is_refused():
    weights = {key.replace("model.layers.0.self_attn.q_proj", "lm_head"): value for key, value in PAIR.items()}
    with pytest.raises(AdapterError, match="lm_head"):
        pairs_of(LoraConfig(), weights, LlamaConfig(tie_word_embeddings=True), place=Path("adapter"))
    assert pairs_of(LoraConfig(), weights, LlamaConfig(tie_word_embeddings=False), place=Path("adapter"))


def test_an_adapted_embedding_is_refused():
    weights = {**PAIR, "base_model.model.model.embed_tokens.lora_embedding_A": torch.ones(2, 8)}
    with pytest.raises(AdapterError, match="lora_embedding_A"):
        pairs_of(LoraConfig(), weights, LlamaConfig(), place=Path("adapter"))


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@pytest.mark.parametrize(
    "settings",
    [
        {"pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": True}},
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {"type": "NFC"}},
        {"model": {"ignore_merges": True}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, BYTE_LEVEL]}},
    ],
)
def test_a_way_of_cutting_text_that_llama_cpp_is_not_known_to_have_is_refused(settings):
    plain = {"model": {"ignore_merges": False}, "normalizer": None, "pre_tokenizer": BYTE_LEVEL}
    assert pre_tokenizer_name(plain) == "gpt-2"
    with pytest.raises(AdapterError, match="no known pre-tokenizer") as caught:
        pre_tokenizer_name(plain | settings)
    assert caught.value.code == "export.unsupported-tokenizer"


def test_a_token_that_swallows_spaces_is_refused(tiny_model_dir: Path):
    from gguf import GGUFWriter
    from tokenizers import AddedToken

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.add_tokens([AddedToken("<greedy>", rstrip=True)])
    with pytest.raises(AdapterError, match="<greedy>"):
        add_tokenizer(GGUFWriter(None, "llama"), tokenizer, rows=400)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tiny_model_dir: Path):
    from gguf import GGUFWriter

    with pytest.raises(AdapterError) as caught:
        add_tokenizer(GGUFWriter(None, "llama"), AutoTokenizer.from_pretrained(tiny_model_dir), rows=100)
    assert caught.value.code == "export.vocabulary"
