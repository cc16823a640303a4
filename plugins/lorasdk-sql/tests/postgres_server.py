"""A PostgreSQL server of the tests' own: made, started on a free port of the loopback, and thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from debian_postgres import NoPostgresError, Programs, find_programs

OWNER, PASSWORD = "owner", "p@ss/w:rd-4711"
START_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A running server; its one user has a password that must be percent-encoded in a URL."""

    port: int

    def url(self, user: str = OWNER, password: str = "p%40ss%2Fw%3Ard-4711") -> str:
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/postgres"


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server, and stop it at the end.

    Raises:
        NoPostgresError: that cannot be done here, and why.
    """
    programs = find_programs()
    # Not pytest's folder, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="lorasdk-sql-"))
    try:
        as_user = somebody_else(folder)
        initialise(programs, folder, as_user)
        with started(programs, folder, as_user) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def somebody_else(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root: how to start it as a user without rights, who gets the folder."""
    if os.getuid() != 0:
        return {}
    shutil.chown(folder, "nobody")
    return {"user": "nobody", "group": folder.stat().st_gid, "extra_groups": ()}


def initialise(programs: Programs, folder: Path, as_user: dict[str, object]) -> None:
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", OWNER]
    command = [programs.bin / "initdb", "-D", folder / "data", f"--pwfile={password}", *options]
    try:
        done = subprocess.run(
            command, check=False, env=programs.environment, cwd=folder, capture_output=True, text=True, **as_user
        )
    except OSError as error:
        raise NoPostgresError(f"initdb cannot be started: {error}") from error
    if done.returncode:
        raise NoPostgresError(f"initdb failed: {done.stderr.strip()[-300:]}")


@contextmanager
def started(programs: Programs, folder: Path, as_user: dict[str, object]) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
        "jit": "off",
    }
    command = [
        programs.bin / "postgres",
        "-D",
        folder / "data",
        *(f"--{name}={value}" for name, value in settings.items()),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=programs.environment, cwd=folder, stdout=log, stderr=log, **as_user)
    try:
        wait_for(process, port, folder / "log")
        yield Server(port)
    finally:
        process.send_signal(signal.SIGINT)  # asks for a fast end, without waiting for who is connected
        process.wait(START_SECONDS)


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if "ready to accept connections" in log.read_text():
            return
        time.sleep(0.05)
    raise NoPostgresError(f"postgres did not start on port {port}: {log.read_text().strip()[-300:]}")
