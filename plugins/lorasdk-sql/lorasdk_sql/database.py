"""From an address to something that can be connected to: dialect and driver are found, nothing is sent yet."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Dialect, Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from lorasdk.contracts import LoadContext
from lorasdk.errors import DataError, Problem
from lorasdk_sql.address import Address, find_address
from lorasdk_sql.manners import Manners, manners_of
from lorasdk_sql.options import SqlOptions

PACKAGES = {
    "MySQLdb": "mysqlclient",
    "cx_Oracle": "cx_Oracle",
    "mysql.connector": "mysql-connector-python",
    "psycopg": '"lorasdk-sql[postgres]"',
    "psycopg2": "psycopg2-binary",
    "pymysql": '"lorasdk-sql[mysql]"',
}
"""Modules that pip knows under another name."""


@dataclass(frozen=True)
class Database:
    """A database whose driver is here."""

    address: Address
    """Which one."""
    engine: Engine
    """Opens connections, and keeps none."""
    manners: Manners
    """How to read it without changing it."""


def open_database(options: SqlOptions, context: LoadContext) -> Database:
    """Find the address, the dialect and the driver.

    Raises:
        DataError: one of them is not there, or the driver is for asynchronous programs.
    """
    address = find_address(options, context)
    dialect = _dialect(address, context)
    manners = manners_of(dialect.name, dialect.driver)
    try:
        engine = create_engine(
            address.url,
            poolclass=NullPool,  # a connection that is closed is closed, also on the server
            hide_parameters=True,
            connect_args=manners.connect_args(options.timeout),
        )
    except ImportError as error:
        raise DataError(_no_driver(address, error, context)) from error
    except ArgumentError as error:
        raise DataError(_refused(address.hide(str(error)), context)) from (error if address.safe(error) else None)
    return Database(address, engine, manners)


def _dialect(address: Address, context: LoadContext) -> type[Dialect]:
    try:
        dialect = address.url.get_dialect()
    except NoSuchModuleError as error:
        raise DataError(_no_dialect(address, context)) from error
    if dialect.is_async:
        raise DataError(_asynchronous(address, context))
    return dialect


def _no_dialect(address: Address, context: LoadContext) -> Problem:
    name = address.url.drivername
    fix = "write postgresql://" if name.startswith("postgres") else "correct the URL, or install the dialect's package"
    return _problem("sql.unknown-dialect", f"SQLAlchemy knows no database {name!r}", fix, context)


def _no_driver(address: Address, error: ImportError, context: LoadContext) -> Problem:
    module = error.name or address.url.drivername
    return _problem(
        "sql.missing-driver",
        f"the driver for {address.url.drivername!r} cannot be imported: {error}",
        f"pip install {PACKAGES.get(module, module)}, or name another driver, as postgresql+psycopg:// does",
        context,
    )


def _refused(why: str, context: LoadContext) -> Problem:
    first = why.splitlines()[0]
    return _problem("sql.bad-url", f"SQLAlchemy refuses the URL: {first}", "correct the environment variable", context)


def _asynchronous(address: Address, context: LoadContext) -> Problem:
    message = f"the driver of {address.url.drivername!r} is for asynchronous programs"
    fix = "name another driver, such as postgresql+psycopg:// or mysql+pymysql://"
    return _problem("sql.asynchronous-driver", message, fix, context)


def _problem(code: str, message: str, fix: str, context: LoadContext) -> Problem:
    return Problem(code=code, message=message, place=context.place, field=f"data.{context.split}.url", fix=fix)
