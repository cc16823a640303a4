"""What the tests of this package share: a small SQLite file and a PostgreSQL server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from debian_postgres import NoPostgresError
from postgres_server import Server, running_server
from pydantic import SecretStr
from sql_asking import Asker
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool


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
    """A real PostgreSQL server with the table `faq` of 1000 rows."""
    try:
        with running_server() as server:
            run_on(server, "CREATE TABLE faq (id integer PRIMARY KEY, question text, answer text)")
            run_on(server, "INSERT INTO faq SELECT i, 'question ' || i, 'answer ' || i FROM generate_series(1, 1000) i")
            run_on(server, "CREATE ROLE reader LOGIN PASSWORD 'reader'")
            yield server
    except NoPostgresError as why:
        pytest.skip(f"no PostgreSQL server: {why}")


@pytest.fixture
def postgres(server: Server, tmp_path: Path) -> Asker:
    return Asker(tmp_path, {"url": SecretStr(server.url())})


@pytest.fixture
def on_server(server: Server) -> Callable[[str], list[tuple[object, ...]]]:
    """Runs a statement as the owner of the database, who may do anything."""
    return lambda statement: run_on(server, statement)


def run_on(server: Server, statement: str) -> list[tuple[object, ...]]:
    with create_engine(server.url(), poolclass=NullPool).begin() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []
