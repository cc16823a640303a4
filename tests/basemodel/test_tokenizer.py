"""Tokenizers of model folders."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.errors import ModelError


@pytest.fixture
def copied(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def test_a_fast_tokenizer_with_its_template_is_loaded(tiny_model_dir: Path):
    tokenizer = load_tokenizer(tiny_model_dir)
    assert tokenizer.is_fast
    assert tokenizer.chat_template
    assert tokenizer.eos_token == "<|im_end|>"


def test_M48_code_of_a_tokenizer_is_not_run(copied: Path, tmp_path: Path):
    canary = tmp_path / "canary"
    (copied / "canary_tokens.py").write_text(f"open({str(canary)!r}, 'w')\n")
    settings = json.loads((copied / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": [None, "canary_tokens.Canary"]}
    (copied / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError) as caught:
        load_tokenizer(copied)
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("model.foreign-code", str(copied / "tokenizer_config.json"))
    assert not canary.exists()
    assert not any("canary_tokens" in name for name in sys.modules)


def test_a_folder_without_tokenizer_is_refused(copied: Path):
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_tokenizer(copied)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"model": 3}'])
def test_a_tokenizer_that_cannot_be_parsed_is_refused(content: str, copied: Path):
    (copied / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError) as caught:
        load_tokenizer(copied)
    assert caught.value.code == "tokenizer.refused"
