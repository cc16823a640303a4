"""Finds PostgreSQL's programs on this machine, or brings Debian's packages into a folder of the cache.

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


class NoPostgresError(Exception):
    """There is no server to test with, and why."""


@dataclass(frozen=True)
class Programs:
    """Where `initdb` and `postgres` are."""

    bin: Path
    libraries: Path | None = None
    """Shared libraries that came along."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        return (
            kept | {"LC_ALL": "C", "TZ": "UTC"} | ({"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {})
        )


def find_programs() -> Programs:
    """Those that are installed, else those of the cache, else fresh ones.

    Raises:
        NoPostgresError: none can be had.
    """
    return installed() or unpacked(cache_folder()) or bring(cache_folder())


def installed() -> Programs | None:
    named = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    folders += [Path(named).resolve().parent] if named else []
    whole = [folder for folder in folders if (folder / "initdb").is_file() and (folder / "postgres").is_file()]
    return Programs(whole[-1]) if whole else None


def cache_folder() -> Path:
    # Root's own cache could not be read by the user that the server runs as when root runs the tests.
    return (Path("/var/cache") if os.getuid() == 0 else user_cache_path()) / "lorasdk-sql-tests"


def unpacked(folder: Path) -> Programs | None:
    found = sorted((folder / "root").glob("usr/lib/postgresql/*/bin/postgres"))
    libraries = [path for path in (folder / "root" / "usr" / "lib").glob("*-linux-*") if path.is_dir()]
    return Programs(found[-1].parent, libraries[0] if libraries else None) if found else None


def bring(folder: Path) -> Programs:
    """Download and unpack; a folder that is complete appears at once, so that two test runs cannot meet half-way."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoPostgresError("no PostgreSQL is installed, and there is no apt to bring it")
    draft = folder / f"draft-{os.getpid()}"
    (draft / "packages").mkdir(parents=True)
    (draft / "lists" / "partial").mkdir(parents=True)
    try:
        apt(draft, "apt-get", "update")
        apt(draft, "apt-get", "download", *needed(draft))
        for package in (draft / "packages").glob("*.deb"):
            run(["dpkg", "-x", str(package), str(draft / "root")], draft)
        if unpacked(folder) is None:
            (draft / "root").rename(folder / "root")
    except OSError as error:
        raise NoPostgresError(f"PostgreSQL cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft)
    programs = unpacked(folder)
    if programs is None:
        raise NoPostgresError("Debian's packages hold no postgres")
    return programs


def needed(draft: Path) -> list[str]:
    """The package of the server, and those of the libraries that this machine lacks."""
    named = re.search(r"Depends: (postgresql-\d+)$", apt(draft, "apt-cache", "depends", "postgresql"), re.MULTILINE)
    if named is None:
        raise NoPostgresError("apt knows no package postgresql")
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
        raise NoPostgresError(f"{' '.join(command[:1] + command[-1:])}: {error.stderr.strip()[-300:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPostgresError(f"{command[0]}: {error}") from error
    return done.stdout
