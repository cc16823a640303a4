"""Writes plain data as YAML 1.2 that reads back as the same data."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from lorasdk.recipe.scalars import plain_scalar

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~:+-]*(?<!:)")
_WIDEST = 1_000_000
"""Columns after which ruamel.yaml would fold a text, which costs its exact white space."""


def write_yaml(data: Mapping[str, Any]) -> str:
    """Block style, two spaces, keys in the given order, lists of scalars on one line."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.width = _WIDEST
    yaml.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO()
    yaml.dump(_styled(data), buffer)
    return buffer.getvalue()


def _styled(value: Any) -> Any:  # noqa: ANN401 - plain data, and ruamel.yaml's marked copies of it
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        styled = CommentedMap((_text(key), _styled(item)) for key, item in value.items())
        if not styled:
            styled.fa.set_flow_style()
        return styled
    if isinstance(value, list | tuple):
        items = CommentedSeq(_styled(item) for item in value)
        if not any(isinstance(item, Mapping | list | tuple) and item for item in value):
            items.fa.set_flow_style()
        return items
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Quote everything that could be read as something else, by this or by another YAML reader."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    bare = _NEEDS_NO_QUOTES.fullmatch(text) and isinstance(plain_scalar(text), str) and text.lower() not in _YAML_1_1
    return text if bare else DoubleQuotedScalarString(text)


_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})
"""Truth values of YAML 1.1, which most other readers still speak."""
