"""Remembers encoded and proved rows in the user's cache, so that data is tokenised once and not at every start.

An entry is named after everything that decides what it holds; it is whole or it is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lorasdk.data.encoding import Encoder
from lorasdk.data.token_store import RowWriter, TokenStore, temporary_store
from lorasdk.events import Emit, Notice
from lorasdk.recipe.schema import DataSection

MOST_BYTES = 2 * 1024**3
"""Of all entries together."""


def rows_key(content: str, *, split: str, encoder: Encoder, section: DataSection) -> str:
    """Name what becomes of rows: SHA-256 over all that decides it, as 64 hexadecimal digits.

    Args:
        content: digest of what the examples say and of their row numbers.
        split: its name, which messages carry.
        encoder: tokenizer and template.
        section: the policies.
    """
    tokenizer, template = encoder.tokenizer, encoder.renderer.template
    # A template may write the date, and prompts then carry the day they are asked on.
    today = date.today().isoformat() if "strftime_now" in template.source else ""
    decides = [
        [_code(), content, split, today, template.sha256, version("tokenizers"), version("transformers")],
        [section.max_tokens, section.too_long, section.train_on],
        [tokenizer.backend_tokenizer.to_str(), tokenizer.special_tokens_map, encoder.end_of_turn, encoder.anchor],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of the code that encodes, proves and stores rows, so that what older code made is not taken for new."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


@dataclass(frozen=True)
class TokenCache:
    """A folder of encoded rows; of too many, those used longest ago are deleted."""

    folder: Path
    """Made when something is kept."""
    most_bytes: int = MOST_BYTES
    """Bound of all entries together."""

    @classmethod
    def of_user(cls) -> TokenCache:
        """The one in the user's cache folder."""
        from platformdirs import user_cache_path

        return cls(user_cache_path("lorasdk") / "tokens")

    def recall(self, key: str, emit: Emit) -> TokenStore | None:
        """Rows that were kept under `key`, if they are whole."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                store = TokenStore.map(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            emit(Notice("data.cache-damaged", f"rows in the cache are damaged and encoded anew: {path}: {error}"))
            return None
        with suppress(OSError):  # of a cache that may only be read, nothing is deleted either
            os.utime(path)
        return store

    def keep(self, key: str, rows: RowWriter, facts: Mapping[str, Any], emit: Emit) -> TokenStore:
        """Keep rows under `key` and give them back, mapped; where nothing can be kept they are given all the same."""
        try:
            store = self._write(self._path(key), rows, facts)
        except OSError as error:
            emit(Notice("data.cache-unwritable", f"encoded rows cannot be kept for the next start: {error}"))
            return temporary_store(lambda file: rows.write(file, facts))
        self._bound(self._path(key))
        return store

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _write(self, path: Path, rows: RowWriter, facts: Mapping[str, Any]) -> TokenStore:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "rb+") as file:
                rows.write(file, facts)
                store = TokenStore.map(file)
            os.replace(name, path)  # noqa: PTH105 - both names are known to be in one folder
        except BaseException:
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - as above
            raise
        return store

    def _bound(self, newest: Path) -> None:
        with suppress(OSError):  # somebody else tidies up at the same time
            stats = {path: path.stat() for path in self.folder.glob("*.safetensors")}
            size = sum(stat.st_size for stat in stats.values())
            for path in sorted(stats.keys() - {newest}, key=lambda path: stats[path].st_mtime):
                if size <= self.most_bytes:
                    return
                path.unlink()
                size -= stats[path].st_size
