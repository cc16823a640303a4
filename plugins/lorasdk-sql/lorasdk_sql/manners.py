"""How each kind of database is kept from being changed, and from being waited for without end."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Mapping
from typing import Protocol

from sqlalchemy import Connection, CursorResult

LIBPQ_DRIVERS = frozenset({"psycopg", "psycopg2"})
MYSQL_DRIVERS = frozenset({"pymysql", "mysqldb"})
SQLITE_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""
SQLITE_REFUSED = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA})
"""What could make or change files although no row is written, or make the connection writable again."""


class Stopwatch:
    """Measures one wait for a database."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.restart()

    def restart(self) -> None:
        """A new wait begins."""
        self._begun = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the wait has lasted as long as the limit, in seconds."""
        return time.monotonic() - self._begun >= self.limit


class Manners(Protocol):
    """What a kind of database needs beyond SQLAlchemy's common words."""

    def connect_args(self, timeout: float) -> Mapping[str, object]:
        """Arguments for the driver that limit how long it waits, in seconds."""
        ...

    def restrain(self, connection: Connection, watch: Stopwatch) -> None:
        """Make a new connection read-only, and its waits as long as `watch` allows."""
        ...

    def leave(self, connection: Connection, result: CursorResult[object]) -> None:
        """End the reading, done or not, without an error where the server is gone."""
        ...


class Postgres:
    """A read-only transaction, with PostgreSQL's own limit on each statement."""

    def __init__(self, driver: str) -> None:
        self._driver = driver

    def connect_args(self, timeout: float) -> Mapping[str, object]:
        """For drivers that hand it to libpq, which takes whole seconds, and at least two."""
        return {"connect_timeout": max(2, math.ceil(timeout))} if self._driver in LIBPQ_DRIVERS else {}

    def restrain(self, connection: Connection, watch: Stopwatch) -> None:
        """PostgreSQL lifts neither inside of the transaction, which no single statement can leave."""
        connection.execution_options(postgresql_readonly=True)
        milliseconds = math.ceil(watch.limit * 1000)
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")

    def leave(self, connection: Connection, result: CursorResult[object]) -> None:
        """Hang up first where a cursor knows that: closing it would ask a server that may be gone."""
        if self._driver in LIBPQ_DRIVERS:
            connection.invalidate()
        result.close()
        connection.invalidate()


class MySql:
    """Read-only transactions for the session, which in MySQL and MariaDB refuse `DROP` and its like too."""

    def __init__(self, driver: str) -> None:
        self._driver = driver

    def connect_args(self, timeout: float) -> Mapping[str, object]:
        """For drivers that take whole seconds; the second limits the greeting after connecting, and each packet."""
        seconds = math.ceil(timeout)
        return {"connect_timeout": seconds, "read_timeout": seconds} if self._driver in MYSQL_DRIVERS else {}

    def restrain(self, connection: Connection, watch: Stopwatch) -> None:  # noqa: ARG002 - its driver limits the waits
        """Said before the first transaction, since one that has begun keeps its kind."""
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")

    def leave(self, connection: Connection, result: CursorResult[object]) -> None:
        """Its cursors read an answer to its end before they close."""
        result.close()
        connection.invalidate()


class Sqlite:
    """Writing fails, other files and settings are out of reach, and a running statement looks at the clock."""

    def connect_args(self, timeout: float) -> Mapping[str, object]:
        """How long to wait for another program's lock."""
        return {"timeout": timeout}

    def restrain(self, connection: Connection, watch: Stopwatch) -> None:
        """Set what SQLite can be told of a connection, the refusals last."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA query_only = ON")
        driver.set_progress_handler(lambda: watch.over, SQLITE_STEPS)
        driver.set_authorizer(_reading_only)

    def leave(self, connection: Connection, result: CursorResult[object]) -> None:
        """The cursor cannot outlive its connection."""
        result.close()
        connection.invalidate()


class Other:
    """Nothing is known but what holds for all: the transaction is never committed."""

    def connect_args(self, timeout: float) -> Mapping[str, object]:  # noqa: ARG002 - drivers agree on no name for it
        """None."""
        return {}

    def restrain(self, connection: Connection, watch: Stopwatch) -> None:
        """Leave it as it is."""

    def leave(self, connection: Connection, result: CursorResult[object]) -> None:
        """The usual order."""
        result.close()
        connection.invalidate()


def manners_of(backend: str, driver: str) -> Manners:
    """Those of a database and its driver, by SQLAlchemy's names of them."""
    if backend == "postgresql":
        return Postgres(driver)
    if backend in {"mysql", "mariadb"}:
        return MySql(driver)
    return Sqlite() if (backend, driver) == ("sqlite", "pysqlite") else Other()


def _reading_only(action: int, name: str | None, *_where: str | None) -> int:
    # The full-text index asks itself for `data_version` whenever it is read.
    refused = action in SQLITE_REFUSED and name != "data_version"
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK
