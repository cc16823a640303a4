"""What the package offers to lorasdk."""

from __future__ import annotations

import lorasdk
from lorasdk_sql.loader import SqlLoader


@lorasdk.hookimpl
def data_loaders() -> list[SqlLoader]:
    """The loader `sql`."""
    return [SqlLoader()]
