"""Waits for the database, and tells what went wrong in words that hold no secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from lorasdk.contracts import LoadContext
from lorasdk.errors import DataError, Problem
from lorasdk_sql.address import Address
from lorasdk_sql.manners import Stopwatch

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Waiting:
    """Calls to one database, each limited and translated."""

    address: Address
    watch: Stopwatch
    context: LoadContext

    def to_connect(self, work: Callable[[], Answer]) -> Answer:
        """Do `work`, which opens a connection.

        Raises:
            DataError: the driver says why there is none.
        """
        return self._translated(work, self._no_connection)

    def for_rows(self, work: Callable[[], Answer]) -> Answer:
        """Do `work`, which sends the query or asks for more rows.

        Raises:
            DataError: the database's own message.
        """
        return self._translated(work, self._no_rows)

    def _translated(self, work: Callable[[], Answer], told: Callable[[Exception], Problem]) -> Answer:
        self.watch.restart()
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - drivers let errors of their own pass, beside SQLAlchemy's
            failure = DataError(told(error))
            cause = error if self.address.safe(error) else None
        # Outside of the block, so that an error that tells a secret is not even the new one's context.
        raise failure from cause

    def _no_connection(self, error: Exception) -> Problem:
        return self._problem(
            "sql.no-connection",
            f"no connection to the database {self.address.shown}: {self._said(error)}",
            "look whether the server runs, and whether host, port, database, user and password are right",
        )

    def _no_rows(self, error: Exception) -> Problem:
        if self.watch.over:
            late = f"the database took longer than {self.watch.limit:g} s: {self._said(error)}"
            return self._problem("sql.timeout", late, "raise timeout, or make the query faster", option="timeout")
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            lost = f"the connection to the database was lost: {self._said(error)}"
            return self._problem("sql.connection-lost", lost, "look at the server's log, then read again")
        failed = f"the query failed: {self._said(error)}"
        fix = "correct the query; it may only read, and only what its user may see"
        return self._problem("sql.query-failed", failed, fix, option="query")

    def _said(self, error: Exception) -> str:
        """What the database or its driver says, in a line and without secrets."""
        said = error.orig if isinstance(error, DBAPIError) else error
        return self.address.hide(next(iter(str(said).splitlines()), type(said).__name__))

    def _problem(self, code: str, message: str, fix: str, *, option: str = "") -> Problem:
        field = ".".join(part for part in ("data", self.context.split, option) if part)
        return Problem(code=code, message=message, place=self.context.place, field=field, fix=fix)
