from pathlib import Path

import pytest
from tiny_training import chat, encoder_of

from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.data.encoding import Encoder
from lorasdk.data.template import BUNDLED, choose_template
from lorasdk.errors import DataError


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_templates_end_an_answer_with_the_end_of_text(tiny_model_dir: Path, name: str):
    encoder = encoder_of(tiny_model_dir, template=name)
    row = encoder.encode_example(chat("hi", "yo", "more", "ok"), train_on="all_turns", origin="train")
    assert [encoder.tokenizer.decode(row.ids[a:b]) for a, b in row.spans] == ["yo<|im_end|>", "ok<|im_end|>"]


def test_D43_a_tokenizer_without_template_gets_the_alpaca_one(tiny_model_dir: Path):
    tokenizer = load_tokenizer(tiny_model_dir)
    tokenizer.chat_template = None
    assert choose_template("auto", tokenizer).origin == "bundled:alpaca"


def test_D43_a_tokenizer_without_template_and_end_of_text_is_refused_with_options(tiny_model_dir: Path):
    tokenizer = load_tokenizer(tiny_model_dir)
    tokenizer.chat_template = tokenizer.eos_token = None
    with pytest.raises(DataError) as caught:
        choose_template("auto", tokenizer)
    assert caught.value.code == "template.no-end-of-text"
    assert "eos_token" in caught.value.problems[0].fix


def test_D43_a_tokenizer_without_padding_token_needs_none(tiny_model_dir: Path):
    tokenizer = load_tokenizer(tiny_model_dir)
    tokenizer.pad_token = None
    encoder = Encoder.of(tokenizer, choose_template("auto", tokenizer))
    assert encoder.encode_example(chat("hi", "yo"), train_on="all_turns", origin="train").supervised_tokens > 0


def test_a_template_file_is_read_relative_to_the_recipe(tiny_model_dir: Path, tmp_path: Path):
    (tmp_path / "mine.jinja").write_text("{{ messages[0].content }}", "utf-8")
    template = choose_template("mine.jinja", load_tokenizer(tiny_model_dir), resolve=lambda text: tmp_path / text)
    assert template.origin == "file:mine.jinja"
    assert template.source == "{{ messages[0].content }}"


def test_a_template_file_that_is_not_there_is_an_error_with_the_choices(tiny_model_dir: Path, tmp_path: Path):
    with pytest.raises(DataError, match="alpaca"):
        choose_template("gone.jinja", load_tokenizer(tiny_model_dir), resolve=lambda text: tmp_path / text)
