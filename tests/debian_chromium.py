"""Finds Chromium on this machine, or brings Debian's package of it into a folder of the cache.

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

LOAD_SECONDS = 180
PROGRAM = "usr/lib/chromium/chromium"
PACKAGES = ("chromium", "fonts-inter")
"""The browser, and a typeface that pages ask for first, so that screenshots do not depend on the machine's."""
NOT_NEEDED = re.compile(r"^xdg-utils|-perl$|^libnss-|^systemd|^dbus")


class NoBrowserError(Exception):
    """There is no browser to test with, and why."""


@dataclass(frozen=True)
class Chromium:
    """A browser that can be started."""

    path: Path
    root: Path
    """Where its packages are unpacked."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        libraries = [folder for pattern in ("*-linux-*", "*-linux-*/pulseaudio") for folder in self._usr_lib(pattern)]
        own = {"LD_LIBRARY_PATH": ":".join(map(str, libraries)), "XDG_DATA_HOME": str(self.root / "usr" / "share")}
        return kept | own | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _usr_lib(self, pattern: str) -> list[Path]:
        return [path for path in (self.root / "usr" / "lib").glob(pattern) if path.is_dir()]


def find_chromium() -> Chromium:
    """The one of the cache, else a fresh one; one that is installed is not taken, so that screenshots are the same.

    Raises:
        NoBrowserError: none can be had.
    """
    folder = user_cache_path() / "lorasdk-tests" / "chromium"
    return unpacked(folder) or bring(folder)


def unpacked(folder: Path) -> Chromium | None:
    root = folder / "root"
    return Chromium(root / PROGRAM, root) if (root / PROGRAM).is_file() else None


def bring(folder: Path) -> Chromium:
    """Download and unpack; a folder that is complete appears at once, so that two test runs cannot meet half-way."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoBrowserError("there is no apt to bring Chromium")
    draft = folder / f"draft-{os.getpid()}"
    try:
        (draft / "packages").mkdir(parents=True)
        (draft / "lists" / "partial").mkdir(parents=True)
        apt(draft, "apt-get", "update")
        apt(draft, "apt-get", "download", *needed(draft))
        for package in (draft / "packages").glob("*.deb"):
            run(["dpkg", "-x", str(package), str(draft / "root")], draft)
        if unpacked(folder) is None:
            (draft / "root").rename(folder / "root")
    except OSError as error:
        raise NoBrowserError(f"Chromium cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    found = unpacked(folder)
    if found is None:
        raise NoBrowserError(f"Debian's packages hold no {PROGRAM}")
    return found


def needed(draft: Path) -> list[str]:
    """The packages, and those of the libraries that this machine lacks."""
    plan = apt(draft, "apt-get", "install", "--simulate", "--no-install-recommends", *PACKAGES)
    planned = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    wanted = dict.fromkeys([*PACKAGES, "chromium-common", *planned])
    return [name for name in wanted if not NOT_NEEDED.search(name)]


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
        raise NoBrowserError(f"{' '.join(command[:1] + command[-1:])}: {error.stderr.strip()[-300:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBrowserError(f"{command[0]}: {error}") from error
    return done.stdout
