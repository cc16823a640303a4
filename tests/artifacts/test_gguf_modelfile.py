"""The Modelfile says for Ollama what the recipe says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import CHAT_TEMPLATE
from transformers import AutoTokenizer

from lorasdk.artifacts.gguf_chatml import chatml_system
from lorasdk.artifacts.gguf_modelfile import write_modelfile
from lorasdk.recipe.schema import GenerationSection

DEFAULTING = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
    + CHAT_TEMPLATE
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path):
    return AutoTokenizer.from_pretrained(tiny_model_dir)


def text(tokenizer, folder: Path, *, template: str | None = CHAT_TEMPLATE, adapter: str = "", **generation) -> str:
    path = write_modelfile(
        folder,
        start="tuned-q8_0.gguf",
        tokenizer=tokenizer,
        chat_template=template,
        generation=GenerationSection(**generation),
        adapter=adapter,
    )
    assert path == folder / "Modelfile"
    return path.read_text()


def test_the_generation_settings_become_parameters(tokenizer, tmp_path: Path):
    settings = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1, "max_new_tokens": 64}
    lines = text(tokenizer, tmp_path, **settings, seed=3, stop=("###", 'a "b"\n')).splitlines()
    assert lines[0] == "FROM ./tuned-q8_0.gguf"
    assert lines[-9:] == [
        "PARAMETER temperature 0.7",
        "PARAMETER top_p 0.9",
        "PARAMETER top_k 40",
        "PARAMETER repeat_penalty 1.1",
        "PARAMETER num_predict 64",
        "PARAMETER seed 3",
        'PARAMETER stop """###"""',
        'PARAMETER stop """a "b"',
        '"""',
    ]


def test_what_the_recipe_leaves_off_is_off_in_ollama_too(tokenizer, tmp_path: Path):
    written = text(tokenizer, tmp_path)
    assert "PARAMETER temperature 0\n" in written
    assert "PARAMETER top_k 0\n" in written
    assert "PARAMETER repeat_penalty 1\n" in written


def test_an_adapter_has_a_line_of_its_own(tokenizer, tmp_path: Path):
    written = text(tokenizer, tmp_path, adapter="billing-f16.gguf")
    assert "\nFROM ./tuned-q8_0.gguf\nADAPTER ./billing-f16.gguf\n" in written


def test_chatml_becomes_a_template_and_its_default_system_prompt_a_system_line(tokenizer, tmp_path: Path):
    assert "TEMPLATE" in text(tokenizer, tmp_path)
    assert "SYSTEM" not in text(tokenizer, tmp_path)
    assert 'SYSTEM """Be brief."""' in text(tokenizer, tmp_path, template=DEFAULTING)


@pytest.mark.parametrize("template", [None, "{{ messages[0]['content'] }}", CHAT_TEMPLATE.replace("<|im_end|>", "")])
def test_another_template_is_left_to_the_gguf_file(tokenizer, tmp_path: Path, template: str | None):
    written = text(tokenizer, tmp_path, template=template)
    assert 'TEMPLATE "' not in written
    assert "carries the chat template" in written


@pytest.mark.parametrize(
    ("template", "system"),
    [
        (CHAT_TEMPLATE, ""),
        (DEFAULTING, "Be brief."),
        ("{{ raise_exception('no') }}", None),
        (CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim"), None),
    ],
)
def test_chatml_is_told_by_what_is_rendered(tokenizer, template: str, system: str | None):
    assert chatml_system(tokenizer, template) == system
