"""The data loader `sql`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorasdk.contracts import LoadContext, Row
from lorasdk.errors import DataError, Problem
from lorasdk_sql.options import SqlOptions


class SqlLoader:
    """Rows of one query, streamed; the database is only read."""

    name = "sql"
    summary = "rows of an SQL query, from any database that SQLAlchemy 2 speaks to"
    Options = SqlOptions

    def check(self, options: SqlOptions, context: LoadContext) -> Sequence[Problem]:
        """Problems with the URL, the driver, the file, the parameters and the order, without a connection."""
        from lorasdk_sql.database import open_database
        from lorasdk_sql.statement import statement_problems

        problems = statement_problems(options, context)
        try:
            open_database(options, context)
        except DataError as error:
            problems += error.problems
        return problems

    def load(self, options: SqlOptions, context: LoadContext) -> Iterator[Row]:
        """Yield the query's rows; the connection is closed with the iterator.

        Raises:
            DataError: what `check` finds; the database cannot be reached, refuses the query or takes too long; or the
                query gives no rows, or two columns of one name.
        """
        problems = self.check(options, context)
        if problems:
            raise DataError(*problems)
        from lorasdk_sql.database import open_database
        from lorasdk_sql.streaming import stream_rows

        yield from stream_rows(open_database(options, context), options, context)
