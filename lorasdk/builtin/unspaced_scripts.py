"""Scripts that write no spaces between words, such as Chinese: where words begin and end in a text, and its tokens.

Decided by each character, so that a text may mix scripts.
"""

from __future__ import annotations

import unicodedata

SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
TOKEN = rf"[{SCRIPTS}]\p{{M}}*|[^\s{SCRIPTS}]+"


def tokens(text: str) -> list[str]:
    """Words between white space; of a script without spaces, each character with the marks that belong to it."""
    import regex

    found: list[str] = regex.findall(TOKEN, text, flags=regex.VERSION0)
    return found


def stands_in(needle: str, text: str, *, whole_words: bool) -> bool:
    """Whether `needle`, which is not empty, is somewhere in `text`.

    Args:
        needle: what is looked for.
        text: where it is looked for.
        whole_words: it may begin and end in no word's middle; scripts without spaces have no such middle.
    """
    at = text.find(needle)
    while at >= 0:
        if not whole_words or not (_inside_word(text, at) or _inside_word(text, at + len(needle))):
            return True
        at = text.find(needle, at + 1)
    return False


def _inside_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and _joins(text[at - 1]) and _joins(text[at])


def _joins(sign: str) -> bool:
    """Whether it makes a word together with letters beside it."""
    import regex

    if not (sign.isalnum() or unicodedata.category(sign).startswith("M")):
        return False
    return regex.match(f"[{SCRIPTS}]", sign, flags=regex.VERSION0) is None
