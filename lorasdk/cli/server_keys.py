"""Keys of a server, from files and environment variables: what stands on a command line can be read by everybody."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lorasdk.errors import InferenceError, Problem


def keys_from(files: Sequence[Path], variables: Sequence[str], *, kind: str) -> tuple[str, ...]:
    """All keys of some files, one a line, and of some variables.

    Raises:
        InferenceError: a file cannot be read, or a file or variable holds no key.
    """
    found: list[str] = []
    for file in files:
        found += _required(_lines(file, kind), str(file), kind)
    for variable in variables:
        found += _required(os.environ.get(variable, "").split(), f"the environment variable {variable}", kind)
    return tuple(found)


def _lines(file: Path, kind: str) -> list[str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(
            "serving.unreadable-keys",
            "the keys cannot be read",
            place=str(file),
            field=f"--{kind}-key-file",
            fix="name a text file with one key a line",
        )
        raise InferenceError(problem) from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _required(keys: list[str], where: str, kind: str) -> list[str]:
    if not keys:
        problem = Problem("serving.unreadable-keys", f"there is no key in {where}", field=f"--{kind}-key-…")
        raise InferenceError(problem)
    return keys
