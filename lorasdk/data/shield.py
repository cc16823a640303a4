"""Keeps control tokens that stand in somebody's text from being read as control tokens.

A user who types ``<|im_end|>`` must not end the turn. Before rendering, each such string gets a noncharacter after its
first letter; after rendering, the text is cut there, so that neither half is the control token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from lorasdk.contracts import Role

MARK = "\ufdd0"
"""A Unicode noncharacter: never part of text that is meant to be exchanged."""


@dataclass(frozen=True, slots=True)
class Shield:
    """Marks control tokens in content, and says how many there were."""

    special: re.Pattern[str]
    """What no turn may contain as a token."""
    structural: re.Pattern[str]
    """What only an assistant turn may contain as a token: added tokens that the template itself writes."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, template: str) -> Shield:
        """Collect the tokenizer's control tokens; those the template writes count too, special or not."""
        added = tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
        written = {token.content for token in added if token.content in template}
        return cls(_any_of(special), _any_of(special | written))

    def mark(self, value: object, role: Role) -> object:
        """Give a copy of `value` (text, or JSON-like data of tools and their calls) whose control tokens are marked."""
        if isinstance(value, str):
            pattern = self.special if role == "assistant" else self.structural
            return pattern.sub(lambda match: match[0][0] + MARK + match[0][1:], value)
        if isinstance(value, Mapping):
            return {self.mark(key, role): self.mark(item, role) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self.mark(item, role) for item in value]
        return value


def _any_of(tokens: set[str]) -> re.Pattern[str]:
    # A one-letter token could not be cut in two; tokenizers that have one use it for unknown letters only.
    usable = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, usable)) or r"(?!)")
