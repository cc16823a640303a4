"""Compares the files of an artefact with the hashes in its passport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorasdk.artifacts.adapter_folder import check_weights, sha256_of
from lorasdk.artifacts.export_passport import ExportPassport
from lorasdk.artifacts.passport import Passport
from lorasdk.artifacts.sealing import UNSEALED
from lorasdk.basemodel.adapter_config import WEIGHTS
from lorasdk.basemodel.links import require_inside
from lorasdk.errors import AdapterError, Problem

READ_BY_LOADERS = frozenset({".bin", ".gguf", ".jinja", ".json", ".model", ".pt", ".py", ".safetensors"})
"""Endings of files that would change what a model says merely by lying there."""


def check_files(folder: Path, passport: Passport | ExportPassport) -> tuple[str, ...]:
    """Let an artefact pass whose files are all there, as they were written, and no others that a loader would read.

    Returns:
        Names of the files that were compared.

    Raises:
        AdapterError: all that is wrong.
    """
    expected = dict(passport.files)
    if isinstance(passport, Passport):
        check_weights(folder, passport)
    problems = [problem for name, sha256 in expected.items() for problem in _changed(folder, name, sha256)]
    if isinstance(passport, ExportPassport):
        problems += _unknown(folder, expected)
    if problems:
        raise AdapterError(*problems)
    return (*expected, *((WEIGHTS,) if isinstance(passport, Passport) else ()))


def _changed(folder: Path, name: str, expected: str) -> Iterator[Problem]:
    path = folder / name
    try:
        require_inside(path)
    except AdapterError as error:
        yield from error.problems
        return
    if not path.is_file():
        yield _problem("absent-file", "a file of the artefact is missing", path)
    elif sha256_of(path) != expected:
        yield _problem("changed-file", "the file is not the one that was written", path)


def _unknown(folder: Path, expected: dict[str, str]) -> Iterator[Problem]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix in READ_BY_LOADERS and not hidden and name.as_posix() not in {*expected, *UNSEALED}:
            yield _problem("unknown-file", "the file was not written by the export, and a loader might read it", path)


def _problem(code: str, message: str, path: Path) -> Problem:
    return Problem(
        code=f"verify.{code}",
        message=message,
        place=str(path.absolute()),
        fix="restore the folder from a copy, or export again",
    )
