"""Finds a database server's program on this machine, or brings Debian's package of it into a folder of the cache.

Nothing of the machine is changed and nobody need be root: apt keeps its lists beside the packages, and these are
unpacked, not installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

LOAD_SECONDS = 120
NOT_NEEDED = re.compile(r"-perl$|^libperl|^libllvm")
"""What only the packages' own scripts and the compiler of queries would use."""


class NoServerError(Exception):
    """There is no server to test with, and why."""


@dataclass(frozen=True)
class Wanted:
    """A server's program and where Debian has it."""

    path: str
    """Pattern of the program's path, without the leading slash."""
    family: str
    """The package that depends on the right one."""
    package: str
    """Pattern of the right one's name."""


POSTGRES = Wanted("usr/lib/postgresql/*/bin/postgres", "postgresql", r"postgresql-\d+")
MARIADB = Wanted("usr/sbin/mariadbd", "mariadb-server", "mariadb-server-core")


@dataclass(frozen=True)
class Program:
    """A program that can be started."""

    path: Path
    libraries: Path | None = None
    """Shared libraries that came along."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        own = {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}
        return kept | {"LC_ALL": "C", "TZ": "UTC"} | own


def find_program(wanted: Wanted) -> Program:
    """The one that is installed, else that of the cache, else a fresh one.

    Raises:
        NoServerError: none can be had.
    """
    # Root's own cache could not be read by the user that a server runs as when root runs the tests.
    cache = Path("/var/cache") if os.getuid() == 0 else user_cache_path()
    folder = cache / "lorasdk-sql-tests" / wanted.family
    return installed(wanted) or unpacked(folder, wanted) or bring(folder, wanted)


def installed(wanted: Wanted) -> Program | None:
    found = sorted(Path("/").glob(wanted.path))
    return Program(found[-1]) if found else None


def unpacked(folder: Path, wanted: Wanted) -> Program | None:
    found = sorted((folder / "root").glob(wanted.path))
    libraries = [path for path in (folder / "root").glob("usr/lib/*-linux-*") if path.is_dir()]
    return Program(found[-1], libraries[0] if libraries else None) if found else None


def bring(folder: Path, wanted: Wanted) -> Program:
    """Download and unpack; a folder that is complete appears at once, so that two test runs cannot meet half-way."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoServerError(f"no {wanted.family} is installed, and there is no apt to bring it")
    draft = folder / f"draft-{os.getpid()}"
    try:
        (draft / "packages").mkdir(parents=True)
        (draft / "lists" / "partial").mkdir(parents=True)
        apt(draft, "apt-get", "update")
        apt(draft, "apt-get", "download", *needed(draft, wanted))
        for package in (draft / "packages").glob("*.deb"):
            run(["dpkg", "-x", str(package), str(draft / "root")], draft)
        if unpacked(folder, wanted) is None:
            (draft / "root").rename(folder / "root")
    except OSError as error:
        raise NoServerError(f"{wanted.family} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    program = unpacked(folder, wanted)
    if program is None:
        raise NoServerError(f"Debian's packages hold no {wanted.path}")
    return program


def needed(draft: Path, wanted: Wanted) -> list[str]:
    """The package of the server, and those of the libraries that this machine lacks."""
    depends = apt(draft, "apt-cache", "depends", wanted.family)
    named = re.search(rf"Depends: ({wanted.package})$", depends, re.MULTILINE)
    if named is None:
        raise NoServerError(f"apt knows no package {wanted.family}")
    plan = apt(draft, "apt-get", "install", "--simulate", "--no-install-recommends", named[1])
    planned = re.findall(r"^Inst (lib\S+)", plan, re.MULTILINE)
    return [named[1], *(name for name in planned if not NOT_NEEDED.search(name))]


def apt(draft: Path, program: str, *words: str) -> str:
    own = {"Dir::State::lists": draft / "lists", "Dir::Cache": draft / "cache", "Debug::NoLocking": "1"}
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    return run([program, "-qq", *options, *words], draft / "packages")


def run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LOAD_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        raise NoServerError(f"{' '.join(command[:1] + command[-1:])}: {error.stderr.strip()[-300:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoServerError(f"{command[0]}: {error}") from error
    return done.stdout
