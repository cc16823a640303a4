"""What the tests of this package share: a small SQLite file, and real servers with the same table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from debian_packages import NoServerError
from pydantic import SecretStr
from sql_asking import Asker, Server
from sql_servers import OWNER, running_mariadb, running_postgres


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    """A table `faq` of ten rows, in a file whose name must be quoted in a URL."""
    path = tmp_path / "faq of 50% & more?.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE faq (id INTEGER PRIMARY KEY, question TEXT, answer TEXT, picture BLOB)")
    rows = [(f"question {i}", f"answer {i}", b"\x89PNG" if i == 3 else None) for i in range(1, 11)]
    connection.executemany("INSERT INTO faq (question, answer, picture) VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def sqlite(sqlite_file: Path) -> Asker:
    return Asker(sqlite_file.parent, {"path": sqlite_file.name})


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL, with 1000 rows in the table `faq`, and a user `reader` who may read nothing."""
    with or_skipped(running_postgres()) as port:
        server = Server(f"postgresql+psycopg://{OWNER}:p%40ss%2Fw%3Ard-4711@127.0.0.1:{port}/postgres")
        server.run("CREATE TABLE faq (id integer PRIMARY KEY, question text, answer text)")
        server.run("INSERT INTO faq SELECT i, 'question ' || i, 'answer ' || i FROM generate_series(1, 1000) i")
        server.run("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """MariaDB, with 1000 rows in the table `faq`."""
    with or_skipped(running_mariadb()) as port:
        Server(f"mysql+pymysql://127.0.0.1:{port}").run("CREATE DATABASE support")
        server = Server(f"mysql+pymysql://127.0.0.1:{port}/support")
        server.run("CREATE TABLE faq (id integer PRIMARY KEY, question text, answer text)")
        server.run("INSERT INTO faq SELECT seq, concat('question ', seq), concat('answer ', seq) FROM seq_1_to_1000")
        yield server


@contextmanager
def or_skipped(running: AbstractContextManager[int]) -> Iterator[int]:
    try:
        with running as port:
            yield port
    except NoServerError as why:
        pytest.skip(f"no server: {why}")


@pytest.fixture
def postgres(server: Server, tmp_path: Path) -> Asker:
    return Asker(tmp_path, {"url": SecretStr(server.url)})


@pytest.fixture
def mariadb(mariadb_server: Server, tmp_path: Path) -> Asker:
    return Asker(tmp_path, {"url": SecretStr(mariadb_server.url)})
