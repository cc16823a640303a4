"""The manifest of a checkpoint: the size and hash of every file, and what its writer wants to know again.

The file begins with the SHA-256 of all that follows, so that no bit of it can change unseen either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

FILE_NAME = "manifest.json"
MAX_BYTES = 256 * 2**20
"""Of a manifest: more than the facts of any run."""


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError("names no file of this folder")
    return name


class FileRecord(BaseModel):
    """One file, as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str
    size_bytes: int


class Manifest(BaseModel):
    """All that a checkpoint must be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    step: Annotated[int, Field(ge=0)]
    files: dict[Annotated[str, AfterValidator(_inside)], FileRecord]
    """By path inside the folder, with ``/``."""
    facts: dict[str, Any]
    """What JSON can hold."""


def write_manifest(folder: Path, step: int, facts: Mapping[str, Any]) -> None:
    """Describe every file in `folder`.

    Raises:
        OSError: the disk refuses.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): record_of(path) for path in paths}
    manifest = Manifest(step=step, files=files, facts=dict(facts))
    content = json.dumps(manifest.model_dump(), allow_nan=False, indent=1).encode()
    (folder / FILE_NAME).write_bytes(sealed(content))


def read_manifest(folder: Path) -> Manifest:
    """Give the manifest of `folder`.

    Raises:
        ValueError: it is not what was written, in one sentence.
        OSError: it cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{FILE_NAME} is missing")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{FILE_NAME} has more than {MAX_BYTES:,} bytes")
    text = path.read_bytes()
    content = text[_BEFORE : -len(b"}\n")]
    if sealed(content) != text:
        raise ValueError(f"{FILE_NAME} is not what was written: its sha256 differs")
    try:
        return Manifest.model_validate(json.loads(content))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise ValueError(f"{FILE_NAME} says what it may not: {wrong}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{FILE_NAME} is no JSON: {error}") from error


def record_of(path: Path) -> FileRecord:
    """Size and hash of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(sha256=digest, size_bytes=file.tell())


def sealed(content: bytes) -> bytes:
    """JSON in JSON, behind its hash; it is of this form to the byte, or it is not whole."""
    return b'{"sha256": "%s", "manifest": %s}\n' % (hashlib.sha256(content).hexdigest().encode(), content)


_BEFORE = len(sealed(b"")) - len(b"}\n")
