"""Reads a JSON object from a file that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorasdk.errors import LorasdkError, Problem

MAX_BYTES = 64 * 2**20
"""Larger than any configuration or tensor index."""


def read_json_object(path: Path, *, error: type[LorasdkError]) -> dict[str, Any]:
    """Give the object in `path`; raise `error` naming the file when it is absent, too large, or not a JSON object."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(_problem(path, f"larger than {MAX_BYTES:,} bytes"))
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise error(_problem(path, f"{type(cause).__name__}: {cause}")) from cause
    if not isinstance(value, dict):
        raise error(_problem(path, f"a JSON {type(value).__name__} where an object is expected"))
    return value


def _problem(path: Path, why: str) -> Problem:
    return Problem(
        code="file.not-a-json-object",
        message=f"cannot be read as a JSON object: {why}",
        place=str(path),
        fix="restore the file from where the folder came from",
    )
