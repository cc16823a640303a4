"""What single tokens read, and how likely they were: for callers who ask for log-probabilities."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from transformers.convert_slow_tokenizer import bytes_to_unicode

from lorasdk.asking import ChosenToken, TokenChance
from lorasdk.inference.text import UNFINISHED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""How tokenizers that fall back to bytes write one."""
REMEMBERED = 1 << 16


class TokenTexts:
    """Texts and bytes of a tokenizer's tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # Behind another token, since decoders take the space away from the first one of a text.
        self._before = list(tokenizer("a", add_special_tokens=False).input_ids)
        self._start = len(self._decode(self._before))
        self._bytes = {letter: byte for byte, letter in bytes_to_unicode().items()}
        self.of = lru_cache(REMEMBERED)(self._read)

    def chosen(self, token: int, logits: torch.Tensor, likeliest: int) -> ChosenToken:
        """A token with its log-probability, and so many of the likeliest at its place.

        Args:
            token: what was chosen.
            logits: (vocabulary,) before temperature and cuts.
            likeliest: at least 0.
        """
        chances = logits.float().log_softmax(-1)
        best = chances.topk(min(likeliest, len(chances)))
        others = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return ChosenToken(self._chance(token, chances[token].item()), tuple(self._chance(*one) for one in others))

    def _chance(self, token: int, log_probability: float) -> TokenChance:
        text, raw = self.of(token)
        return TokenChance(text, raw, log_probability)

    def _read(self, token: int) -> tuple[str, bytes]:
        text = self._decode([*self._before, token])[self._start :]
        if UNFINISHED not in text:
            return text, text.encode()
        name = str(self._tokenizer.convert_ids_to_tokens(token))
        byte = BYTE.fullmatch(name)
        if byte is not None:
            return text, bytes.fromhex(byte[1])
        if all(letter in self._bytes for letter in name):
            return text, bytes(self._bytes[letter] for letter in name)
        return text, text.encode()

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))
