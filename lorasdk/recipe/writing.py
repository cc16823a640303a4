"""Writes plain data as YAML 1.2."""

from __future__ import annotations

import io
from typing import Any


def write_yaml(data: dict[str, Any]) -> str:
    """Block style, two spaces, keys in the given order."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared without its type
    yaml.width = 120
    buffer = io.StringIO()
    yaml.dump(data, buffer)
    return buffer.getvalue()
