"""The model the other tests stand on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import LAYERS, write_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.mark.parametrize("text", ["Hello, world!", "数据\t\n  x ", "\x00é🙂", " a  b"])
def test_the_tokenizer_is_lossless(tiny_model_dir: Path, text: str):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_control_tokens_are_single_tokens(tiny_model_dir: Path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    assert tokenizer("<|im_start|><|im_end|><|endoftext|>").input_ids == [1, 2, 0]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)


def test_the_same_seed_writes_the_same_weights(tiny_model_dir: Path, tmp_path: Path):
    write_tiny_model(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (tiny_model_dir / "model.safetensors").read_bytes()
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.num_hidden_layers == LAYERS
