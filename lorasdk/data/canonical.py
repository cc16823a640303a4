"""One spelling for what an example says, so that equal examples have equal hashes wherever they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lorasdk.contracts import Message


def canonical_json(messages: Sequence[Message], text: str | None, tools: Sequence[Mapping[str, Any]]) -> bytes:
    """JSON with sorted keys and no choices left, in UTF-8."""
    turns = [[m.role, m.content, list(m.tool_calls), m.tool_call_id, m.name] for m in messages]
    content = [turns, text, list(tools)]
    return json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "replace")
