"""Database servers of the tests' own: made, started on a free port of the loopback, and thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from debian_packages import MARIADB, POSTGRES, NoServerError, Program, find_program

OWNER, PASSWORD = "owner", "p@ss/w:rd-4711"
START_SECONDS = 30


@dataclass(frozen=True)
class Home:
    """A server's folder, and the user it runs as: never root, which PostgreSQL and MariaDB refuse."""

    folder: Path
    as_user: Mapping[str, object] = field(default_factory=dict)


@contextmanager
def running_postgres() -> Iterator[int]:
    """Start PostgreSQL, whose user has a password that must be escaped in a URL; give its port, and stop it at the end.

    Raises:
        NoServerError: that cannot be done here, and why.
    """
    program = find_program(POSTGRES)
    with home() as place:
        initialise(program, place)
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "jit": "off"}
        words = ["-D", place.folder / "data", *(f"--{name}={value}" for name, value in settings.items())]
        with started(program, place, words, ready="ready to accept connections", end=signal.SIGINT) as port:
            yield port


@contextmanager
def running_mariadb() -> Iterator[int]:
    """Start MariaDB in an empty folder and without users; give its port, and stop it at the end.

    Raises:
        NoServerError: that cannot be done here, and why.
    """
    program = find_program(MARIADB)
    with home() as place:
        (place.folder / "data").mkdir()
        shutil.chown(place.folder / "data", place.folder.stat().st_uid, place.folder.stat().st_gid)
        settings = {
            "datadir": place.folder / "data",
            "lc-messages-dir": program.path.parents[1] / "share" / "mysql",
            "socket": place.folder / "socket",
            "pid-file": place.folder / "pid",
            "bind-address": "127.0.0.1",
        }
        words = ["--no-defaults", "--skip-grant-tables", *(f"--{name}={value}" for name, value in settings.items())]
        with started(program, place, words, ready="ready for connections", end=signal.SIGTERM) as port:
            yield port


@contextmanager
def home() -> Iterator[Home]:
    # Not pytest's folder, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="lorasdk-sql-"))
    try:
        if os.getuid() != 0:
            yield Home(folder)
        else:
            shutil.chown(folder, "nobody")
            yield Home(folder, {"user": "nobody", "group": folder.stat().st_gid, "extra_groups": ()})
    finally:
        shutil.rmtree(folder)


def initialise(program: Program, place: Home) -> None:
    password = place.folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", OWNER]
    initdb = program.path.with_name("initdb")
    command = [initdb, "-D", place.folder / "data", f"--pwfile={password}", *options]
    surroundings = {"env": program.environment, "cwd": place.folder, **place.as_user}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, **surroundings)
    except OSError as error:
        raise NoServerError(f"{initdb} cannot be started: {error}") from error
    if done.returncode:
        raise NoServerError(f"initdb failed: {done.stderr.strip()[-300:]}")


@contextmanager
def started(program: Program, place: Home, words: list[object], *, ready: str, end: signal.Signals) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = place.folder / "log"
    surroundings = {"env": program.environment, "cwd": place.folder, **place.as_user}
    try:
        with log.open("w") as out:
            command = [program.path, *words, f"--port={port}"]
            process = subprocess.Popen(command, stdout=out, stderr=out, **surroundings)
    except OSError as error:
        raise NoServerError(f"{program.path} cannot be started: {error}") from error
    try:
        wait_for(process, log, ready)
        yield port
    finally:
        process.send_signal(end)  # a fast end, without waiting for who is connected
        process.wait(START_SECONDS)


def wait_for(process: subprocess.Popen[bytes], log: Path, ready: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if ready in log.read_text():
            return
        time.sleep(0.05)
    raise NoServerError(f"{process.args[0]} did not start: {log.read_text().strip()[-300:]}")
