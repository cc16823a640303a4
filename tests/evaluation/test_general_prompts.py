"""The prompts are part of what a measurement means, so they do not change in silence."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from lorasdk.evaluation.general_prompts import FILE, GeneralPrompts, general_prompts

HAN = re.compile(r"[一-鿿]")
IDENTITY = "1:25f7b5c94df6"
"""Another text is another version: raise `version` in the file, then this."""


def test_another_text_is_another_version():
    assert general_prompts().identity == IDENTITY


def test_the_digest_follows_the_texts():
    one, other = GeneralPrompts(1, ("a", "b")), GeneralPrompts(1, ("a", "c"))
    assert one.identity != other.identity
    assert one.identity.startswith("1:")


def test_half_is_english_and_half_chinese_short_and_all_different():
    prompts = json.loads(files("lorasdk.evaluation").joinpath(FILE).read_text("utf-8"))["prompts"]
    languages = [prompt["language"] for prompt in prompts]
    assert languages.count("en") == languages.count("zh") == 20
    assert [bool(HAN.search(prompt["text"])) for prompt in prompts] == [language == "zh" for language in languages]
    assert len(set(general_prompts().texts)) == len(prompts)
    assert max(map(len, general_prompts().texts)) <= 90


def test_every_kind_is_asked_in_both_languages():
    prompts = json.loads(files("lorasdk.evaluation").joinpath(FILE).read_text("utf-8"))["prompts"]
    kinds = {language: {p["kind"] for p in prompts if p["language"] == language} for language in ("en", "zh")}
    assert kinds["en"] == kinds["zh"]
    assert kinds["en"] == {"question", "instruction", "reasoning", "writing", "code", "translation", "courtesy"}
