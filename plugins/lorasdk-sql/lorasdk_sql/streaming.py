"""Rows of a query, a few at a time, over a connection that is closed whatever ends the reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, CursorResult
from sqlalchemy import Row as Record

from lorasdk.contracts import LoadContext, Row
from lorasdk.errors import DataError, Problem
from lorasdk_sql.database import Database
from lorasdk_sql.manners import Stopwatch
from lorasdk_sql.options import SqlOptions
from lorasdk_sql.statement import make_statement
from lorasdk_sql.values import NoPlainValueError, plain_value
from lorasdk_sql.waiting import Waiting


def stream_rows(database: Database, options: SqlOptions, context: LoadContext) -> Iterator[Row]:
    """Yield rows as they come, `fetch_size` of them a round trip.

    Raises:
        DataError: no connection, no answer, no rows, or two columns of one name.
    """
    waiting = Waiting(database.address, Stopwatch(options.timeout), context)
    with waiting.to_connect(database.engine.connect) as connection:
        waiting.for_rows(lambda: database.manners.restrain(connection, waiting.watch))
        result = waiting.for_rows(lambda: _begin(connection, options))
        try:
            columns = _columns(result, context)
            for number, record in enumerate(_records(result, options, waiting), start=1):
                row = _plain_row(columns, record, number, context)
                if row is not None:
                    yield row
        finally:
            database.manners.leave(connection, result)


def _begin(connection: Connection, options: SqlOptions) -> CursorResult[object]:
    streaming = {"stream_results": True, "yield_per": options.fetch_size}
    return connection.execute(make_statement(options), execution_options=streaming)


def _records(result: CursorResult[object], options: SqlOptions, waiting: Waiting) -> Iterator[Record[object]]:
    parts = result.partitions(options.fetch_size)
    while part := waiting.for_rows(lambda: next(parts, ())):
        yield from part


def _columns(result: CursorResult[object], context: LoadContext) -> Sequence[str]:
    """Names of the result's columns.

    Raises:
        DataError: it has none, or two of one name.
    """
    if not result.returns_rows:
        raise DataError(_problem("sql.no-result", "the statement gives no rows", "write a query: SELECT …", context))
    names = list(result.keys())
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        message = f"columns of the same name: {', '.join(twice)}"
        fix = f"name them apart, such as SELECT q.{twice[0]} AS instruction"
        raise DataError(_problem("sql.duplicate-columns", message, fix, context))
    return names


def _plain_row(columns: Sequence[str], record: Sequence[object], number: int, context: LoadContext) -> Row | None:
    row: dict[str, object] = {}
    for column, value in zip(columns, record, strict=True):
        try:
            row[column] = plain_value(value)
        except NoPlainValueError as kind:
            context.bad_row(_no_plain_value(column, str(kind), number, context))
            return None
    return row


def _no_plain_value(column: str, kind: str, number: int, context: LoadContext) -> Problem:
    return Problem(
        code="sql.no-plain-value",
        message=f"a value of the type {kind} has no plain form",
        place=f"{context.split} (sql) row {number}",
        field=column,
        found=kind,
        allowed="texts, numbers, booleans, nulls, dates, times, UUIDs, and arrays or JSON of them",
        fix="turn it into text in the query, such as CAST(column AS text), or leave the column out",
    )


def _problem(code: str, message: str, fix: str, context: LoadContext) -> Problem:
    return Problem(code=code, message=message, place=context.place, field=f"data.{context.split}.query", fix=fix)
