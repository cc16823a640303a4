"""Recognises how a byte-level tokenizer cuts text before it merges, under the names that llama.cpp knows.

llama.cpp has no language for this: it knows families by name, and a wrong name gives other tokens without a word. So a
tokenizer is taken only if its settings say exactly what a family does. Each family here was tried: llama.cpp cuts the
tests' texts as the tokenizer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorasdk.errors import AdapterError, Problem

Settings = Mapping[str, Any]

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Family:
    """A way of cutting text, and the name that llama.cpp has for it."""

    name: str
    cuts: tuple[str, ...]
    """As `_cuts` tells the steps of a tokenizer."""
    whole_words: bool = False
    """Whether a word that is a token is taken as it is, without merges (``ignore_merges``)."""
    normalizers: tuple[str, ...] = ()
    """Normalizers that llama.cpp leaves out, and that change nothing in composed text."""


FAMILIES = (
    Family("gpt-2", ("bytes by GPT-2's pattern",)),
    Family("smollm", ("single digits", "bytes by GPT-2's pattern")),
    Family("qwen2", (rf"split {CONTRACTIONS}|{LETTERS}|\p{{N}}|{REST}", "bytes"), normalizers=("NFC",)),
    Family("llama-bpe", (rf"split {CONTRACTIONS}|{LETTERS}|\p{{N}}{{1,3}}|{REST}", "bytes"), whole_words=True),
    Family("tekken", (f"split {TEKKEN}", "bytes"), whole_words=True),
)


def pre_tokenizer_name(settings: Settings) -> str:
    """The name of the family of a byte-level tokenizer.

    Args:
        settings: of the tokenizer, as in its ``tokenizer.json``.

    Raises:
        AdapterError: it belongs to none that is known.
    """
    cuts = tuple(_cuts(step) for step in _steps(settings["pre_tokenizer"], "pretokenizers"))
    normalizers = tuple(step["type"] for step in _steps(settings["normalizer"], "normalizers"))
    whole_words = bool(settings["model"].get("ignore_merges"))
    for family in FAMILIES:
        normalized = not set(normalizers) - set(family.normalizers)
        if cuts == family.cuts and whole_words == family.whole_words and normalized:
            return family.name
    found = [*(f"normalizer {name}" for name in normalizers), *cuts, *(["ignore_merges"] if whole_words else [])]
    raise AdapterError(_unknown("; ".join(found)))


def _steps(step: Settings | None, inner: str) -> list[Settings]:
    if step is None:
        return []
    return list(step[inner]) if step["type"] == "Sequence" else [step]


def _cuts(step: Settings) -> str:
    """What a step does, in words that tell apart what differs."""
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return "bytes by GPT-2's pattern"
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
            return "bytes"
        case {"type": "Digits", "individual_digits": True}:
            return "single digits"
        case {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}:
            return f"split {pattern}"
    return str(dict(step))


def _unknown(found: str) -> Problem:
    return Problem(
        code="export.unsupported-tokenizer",
        message="the tokenizer cuts text in a way that no known pre-tokenizer of llama.cpp does, and a wrong one would "
        "give other tokens without a word",
        field="base_model.source",
        found=found,
        allowed="; ".join(f"{family.name}: {', '.join(family.cuts)}" for family in FAMILIES),
        fix='export with format="merged", and convert that folder with llama.cpp\'s own script',
    )
