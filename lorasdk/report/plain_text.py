"""Makes anybody's text harmless to show: what is invisible or turns text around is written out, the rest is escaped."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters, which HTML forbids
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the text around them
    "\u2028\u2029\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff"  # breaks, marks, and what is no character
    "\U000e0000-\U000e007f]"  # tags, which hide whole sentences
)
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~#$]|(?<!\w)_|_(?!\w)")


def visible(text: str) -> str:
    """Write out characters that cannot be seen, or that change how others are seen: ``⟨U+202E⟩``."""
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.replace("\r\n", "\n").replace("\r", "\n"))


def markdown(text: str) -> str:
    """One line in which nothing is markup, a mention or a cell's end."""
    escaped = _MARKDOWN.sub(lambda match: f"\\{match[0]}", " ".join(visible(text).split()))
    return escaped.replace("&", "&amp;").replace("@", "&#64;")


def fence(text: str) -> str:
    """A fence of back-ticks that the text cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)
