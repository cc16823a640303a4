"""The data loader `sql`: rows of any SQLAlchemy 2 database.

A recipe names it::

    data:
      train:
        loader: sql
        url: ${env:DB_URL}
        query: SELECT question AS instruction, answer AS output FROM tickets WHERE lang = :lang ORDER BY id
        parameters: {lang: en}

Importing this package does not import SQLAlchemy.
"""

from lorasdk_sql import plugin
from lorasdk_sql.loader import SqlLoader
from lorasdk_sql.options import SqlOptions

__all__ = ["SqlLoader", "SqlOptions", "plugin"]
