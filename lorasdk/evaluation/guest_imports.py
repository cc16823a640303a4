"""Imports scientific libraries without the traces that their import leaves in the host's process."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OPENMP = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
"""Variables that scikit-learn sets for OpenMP runtimes, which read them once, when they are loaded."""


@contextmanager
def leaving_no_trace() -> Iterator[None]:
    """Put back what importing scipy or scikit-learn inside the block changes: warning filters and the environment.

    Only what was added is taken away again, so that what the host sets meanwhile in other threads stays. What cannot be
    put back is the idle threads of the BLAS and OpenMP libraries that come with them.
    """
    filters, unset = list(warnings.filters), [name for name in OPENMP if name not in os.environ]
    try:
        yield
    finally:
        for added in [each for each in warnings.filters if each not in filters]:
            with suppress(ValueError):  # another thread was quicker
                warnings.filters.remove(added)  # type: ignore[attr-defined]
        for name in unset:
            os.environ.pop(name, None)
