"""Asks the loader, as a recipe would, and a server, as its owner would."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lorasdk_sql import SqlLoader, SqlOptions
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from lorasdk.contracts import LoadContext, Row
from lorasdk.errors import DataError, Problem

PLACE = "recipe.yaml:4:5"


@dataclass
class Asker:
    """Asks the loader as a recipe in `folder` would."""

    folder: Path
    defaults: dict[str, object]
    bad: list[Problem] = field(default_factory=list)

    @property
    def context(self) -> LoadContext:
        return LoadContext(self.folder, PLACE, "train", self.bad.append)

    def options(self, query: str, **options: object) -> SqlOptions:
        database = {} if options.keys() & {"url", "path"} else self.defaults
        return SqlOptions.model_validate({**database, "query": query, **options})

    def iterate(self, query: str, **options: object) -> Generator[Row]:
        return SqlLoader().load(self.options(query, **options), self.context)

    def rows(self, query: str, **options: object) -> list[Row]:
        return list(self.iterate(query, **options))

    def error(self, query: str, **options: object) -> DataError:
        with pytest.raises(DataError) as caught:
            self.rows(query, **options)
        return caught.value

    def check(self, query: str, **options: object) -> list[Problem]:
        return list(SqlLoader().check(self.options(query, **options), self.context))


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the owner of the database, who may do anything."""
        with create_engine(self.url, poolclass=NullPool).begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []
