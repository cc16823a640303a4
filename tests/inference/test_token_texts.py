from pathlib import Path

import pytest
import torch
from tiny_training import encoder_of
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from lorasdk.inference.token_texts import TokenTexts


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path):
    return encoder_of(tiny_model_dir).tokenizer


def test_texts_and_bytes_of_tokens_make_the_text(tokenizer):
    texts, text = TokenTexts(tokenizer), "The capital 数据 of"
    pairs = [texts.of(token) for token in tokenizer(text, add_special_tokens=False).input_ids]
    assert b"".join(raw for _, raw in pairs).decode() == text
    assert " of" in [text for text, _ in pairs]


def test_a_part_of_a_letter_has_its_bytes(tokenizer):
    first, *_ = tokenizer("é", add_special_tokens=False).input_ids
    text, raw = TokenTexts(tokenizer).of(first)
    assert (text, raw) == ("�", b"\xc3")


def test_a_control_token_reads_its_name(tokenizer):
    assert TokenTexts(tokenizer).of(2) == ("<|im_end|>", b"<|im_end|>")


def test_tokenizers_that_fall_back_to_bytes_have_spaces_and_bytes():
    vocabulary = {"<unk>": 0, "a": 1, "▁the": 2, "<0xC3>": 3}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    texts = TokenTexts(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"))
    assert texts.of(2) == (" the", b" the")
    assert texts.of(3)[1] == b"\xc3"


def test_chances_are_those_of_the_logits(tokenizer):
    logits = torch.randn(320, generator=torch.Generator().manual_seed(0))
    chosen = TokenTexts(tokenizer).chosen(7, logits, 3)
    expected = logits.log_softmax(-1)
    assert chosen.token.log_probability == pytest.approx(expected[7].item())
    assert [one.log_probability for one in chosen.likeliest] == pytest.approx(expected.topk(3).values.tolist())
    assert TokenTexts(tokenizer).chosen(7, logits, 0).likeliest == ()
