"""Named ways to make texts alike before they are compared, for the evaluators that compare texts."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

Step: TypeAlias = Literal["none", "space", "case", "punctuation", "articles", "width", "nfkc", "squad"]
Normalisation: TypeAlias = Step | Annotated[tuple[Step, ...], Field(min_length=1)]
"""One name, or several that are applied in their order; a name means the same in both."""

ARTICLE = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
# U+FF01 to U+FF5E are ASCII's printable characters as wide as a Chinese one; U+3000 is the space among them.
NARROW = {0x3000: 0x20, **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}}


def normalised(text: str, how: Normalisation) -> str:
    """Apply the named steps.

    - ``none`` leaves the text as it is;
    - ``space`` strips, and makes one space of what white space there is;
    - ``case`` does that, ignores case, and drops one final full stop, also the Chinese one;
    - ``punctuation`` drops ASCII's punctuation and symbols, and Unicode's punctuation: a minus sign goes too;
    - ``articles`` drops English a, an and the;
    - ``width`` makes full-width letters, digits and signs narrow, as in ``ＡＢＣ１２３``;
    - ``nfkc`` is Unicode's form NFKC: ``width``, and also ligatures, superscripts, circled numbers and the like;
    - ``squad`` is what SQuAD's evaluation does (Rajpurkar et al. 2016), with all of Unicode's punctuation, as MLQA's
      does (Lewis et al. 2020): lower case, no punctuation, no articles, white space folded.
    """
    steps = (how,) if isinstance(how, str) else how
    return reduce(lambda made, step: _STEPS[step](made), steps, text)


def _space(text: str) -> str:
    return " ".join(text.split())


def _case(text: str) -> str:
    return _space(text).casefold().removesuffix(".").removesuffix("。")


def _punctuation(text: str) -> str:
    return _space("".join(sign for sign in text if not _is_punctuation(sign)))


def _is_punctuation(sign: str) -> bool:
    return sign in string.punctuation or unicodedata.category(sign).startswith("P")


def _articles(text: str) -> str:
    return _space(ARTICLE.sub(" ", text))


def _width(text: str) -> str:
    return text.translate(NARROW)


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _squad(text: str) -> str:
    return _articles(_punctuation(text.lower()))


def _none(text: str) -> str:
    return text


_STEPS: Mapping[Step, Callable[[str], str]] = MappingProxyType(
    {
        "none": _none,
        "space": _space,
        "case": _case,
        "punctuation": _punctuation,
        "articles": _articles,
        "width": _width,
        "nfkc": _nfkc,
        "squad": _squad,
    }
)
