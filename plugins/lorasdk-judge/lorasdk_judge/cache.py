"""Keeps verdicts in the user's cache folder, so that no question is paid for twice.

A file per verdict, named after the digest of all that decided it. It holds the judge's reason and score and nothing
else: no key, no question, no answer. Files appear whole, so several processes may use the folder at once.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorasdk_judge.options import JudgeOptions
from lorasdk_judge.verdict import NoVerdictError, Verdict, read_verdict


@dataclass
class VerdictCache:
    """A folder of verdicts; made when the first is kept."""

    folder: Path
    damaged: int = 0
    """Entries that were found but could not be read as verdicts on the scale."""
    unwritable: str = ""
    """Why a verdict could not be kept; empty when all could."""

    @classmethod
    def of_user(cls) -> VerdictCache:
        """The one in the user's cache folder."""
        from platformdirs import user_cache_path

        return cls(user_cache_path("lorasdk") / "judge")

    def recall(self, key: str, options: JudgeOptions) -> Verdict | None:
        """The verdict that was kept under `key`, if it is whole and on the scale."""
        try:
            return read_verdict(self._path(key).read_text(encoding="utf-8"), options)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, NoVerdictError):
            self.damaged += 1
            return None

    def keep(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict under `key`; a disk that refuses is noted and nothing else."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, verdict.model_dump_json())
        except OSError as error:
            self.unwritable = f"{path.parent}: {error.strerror or error}"

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _write(self, path: Path, text: str) -> None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)  # noqa: PTH105 - both names are known to be in one folder
        except BaseException:
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - as above
            raise
