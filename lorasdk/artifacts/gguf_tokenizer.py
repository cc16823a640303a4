"""Writes a tokenizer into a GGUF file: a byte-level BPE, whose kind llama.cpp knows by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gguf import GGUFWriter, TokenType

from lorasdk.artifacts.gguf_pre_tokenizers import Settings, pre_tokenizer_name
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


def end_of_turn(settings: GenerationConfig | None, end_of_text: int | None) -> int | None:
    """The token that ends an answer, where that is another one than the end of a text: a file has a key for each."""
    known = None if settings is None else settings.eos_token_id
    ids = [known] if isinstance(known, int) else known or []
    return next((number for number in ids if number != end_of_text), None)


def add_tokenizer(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, *, rows: int) -> None:
    """Add a tokenizer's metadata.

    Args:
        writer: of the file.
        tokenizer: of the model.
        rows: of the model's embedding; what the tokenizer has fewer is filled with tokens that are never used.

    Raises:
        AdapterError: llama.cpp is not known to cut text as this tokenizer does.
    """
    if not tokenizer.is_fast:
        raise AdapterError(_unsupported(type(tokenizer).__name__, "a fast tokenizer"))
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    _require_plain(settings)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_name(settings))
    tokens, types = _vocabulary(settings, rows)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in _merges(settings)])
    _add_control_tokens(writer, tokenizer)


def _merges(settings: Settings) -> Sequence[Any]:
    merges: Sequence[Any] = settings["model"]["merges"]
    return merges


def _vocabulary(settings: Settings, rows: int) -> tuple[list[str], list[TokenType]]:
    texts = {number: text for text, number in settings["model"]["vocab"].items()}
    added = {token["id"]: token for token in settings["added_tokens"]}
    texts |= {number: token["content"] for number, token in added.items()}
    if max(texts) >= rows:
        raise AdapterError(_too_many(max(texts) + 1, rows))

    def kind(number: int) -> TokenType:
        if number in added:
            return TokenType.CONTROL if added[number]["special"] else TokenType.USER_DEFINED
        return TokenType.NORMAL if number in texts else TokenType.UNUSED

    return [texts.get(number, f"[PAD{number}]") for number in range(rows)], [kind(number) for number in range(rows)]


def _add_control_tokens(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase) -> None:
    known = {
        writer.add_bos_token_id: tokenizer.bos_token_id,
        writer.add_eos_token_id: tokenizer.eos_token_id,
        writer.add_unk_token_id: tokenizer.unk_token_id,
        writer.add_pad_token_id: tokenizer.pad_token_id,
    }
    for add, number in known.items():
        if number is not None:
            add(number)
    # Asked rather than read from its settings, of which several have a say in it.
    ids, plain = (tokenizer("a", add_special_tokens=wanted)["input_ids"] for wanted in (True, False))
    writer.add_add_bos_token(len(ids) > len(plain) and ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(len(ids) > len(plain) and ids[-1] == tokenizer.eos_token_id)


def _require_plain(settings: Settings) -> None:
    """Refuse what llama.cpp would read otherwise, before the vocabulary is looked at."""
    model = settings["model"]
    steps = str(settings["pre_tokenizer"])
    if model["type"] != "BPE" or "ByteLevel" not in steps or model.get("byte_fallback"):
        kind = f"{model['type']}, {steps}" + (", byte_fallback" if model.get("byte_fallback") else "")
        raise AdapterError(_unsupported(kind, "a byte-level BPE"))
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise AdapterError(_unsupported("marks at the edges of words", "none"))
    reaching = [token["content"] for token in settings["added_tokens"] if _reaches_out(token)]
    if reaching:
        raise AdapterError(_unsupported(f"{reaching[0]!r}, which swallows spaces or needs them", "plain added tokens"))


def _reaches_out(token: Settings) -> bool:
    return any(token[key] for key in ("lstrip", "rstrip", "single_word"))


def _unsupported(found: str, allowed: str) -> Problem:
    return Problem(
        code="export.unsupported-tokenizer",
        message="tokenizers of this kind are not written as GGUF",
        field="base_model.source",
        found=found,
        allowed=allowed,
        fix='export with format="merged", and convert that folder with llama.cpp\'s own script',
    )


def _too_many(tokens: int, rows: int) -> Problem:
    return Problem(
        code="export.vocabulary",
        message=f"the tokenizer knows {tokens:,} tokens, the model's embedding {rows:,}",
        field="base_model.source",
        found=f"{tokens} tokens",
        allowed=f"at most {rows} tokens",
        fix="set lora.modules_to_save: [embed_tokens, lm_head], so that the model has all tokens",
    )
