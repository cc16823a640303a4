"""Remembers digests of large files, so that gigabytes are hashed once and not at every start.

A file that keeps its path, size and modification time is taken to be unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path


def remembered_digest(
    files: Sequence[Path], compute: Callable[[], str], *, kind: str, cache_dir: Path | None = None
) -> str:
    """Give the digest that `compute` gave last time for these files, or compute and remember it.

    Args:
        files: what the digest is of; each must exist.
        compute: gives a SHA-256 as 64 hexadecimal digits.
        kind: names what is digested and how; another kind is another memory.
        cache_dir: folder of the memory; the user's cache when not given.
    """
    memory = (cache_dir or user_cache_path("lorasdk")) / "digests" / f"{_key(files, kind)}.json"
    known = _recall(memory)
    if known is not None:
        return known
    digest = compute()
    # A cache that cannot be written costs time at the next start and nothing else.
    with suppress(OSError):
        _remember(memory, digest)
    return digest


def _key(files: Sequence[Path], kind: str) -> str:
    stats = [(str(path.resolve()), path.stat()) for path in files]
    listing = [kind, *([path, stat.st_size, stat.st_mtime_ns] for path, stat in stats)]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _recall(memory: Path) -> str | None:
    try:
        digest = json.loads(memory.read_bytes())["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def _remember(memory: Path, digest: str) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=memory.parent, prefix=".", suffix=".tmp", delete=False) as file:
        json.dump({"sha256": digest}, file)
    os.replace(file.name, memory)  # noqa: PTH105 - both names are known to be in one folder
