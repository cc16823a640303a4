"""Names the instants of a write at which a process may be killed, so that tests can kill it at each of them.

Callers say ``fault_points.reach("…")`` through the module, never through an imported name: a test sets
``fault_points.reach`` to a function of its own, in a process of its own.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

FaultPoint: TypeAlias = Literal[
    # a folder that is written whole, in this order
    "before-draft",
    "draft-made",
    "file-written",  # reached by whoever fills the draft, after each file
    "before-manifest",
    "manifest-written",
    "before-flush",
    "after-flush",
    "before-rename",
    "after-rename",
    "parent-flushed",
    # one file that is written whole
    "file-draft-written",
    "file-before-rename",
    "file-after-rename",
    # a damaged checkpoint that is moved away
    "before-quarantine",
    "after-quarantine",
    # each removal of a rotation
    "before-removal",
    "removal-begun",
    "after-removal",
]
"""An instant before or after something on the disk changes."""

FAULT_POINTS: tuple[FaultPoint, ...] = get_args(FaultPoint)
"""All of them."""


def reach(point: FaultPoint) -> None:
    """Do nothing; a test puts something else here."""
