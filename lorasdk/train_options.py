"""What a host may ask of one training beside the recipe: data that reaches it through threads and processes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Resume: TypeAlias = Literal["never", "auto", "must"] | Path
"""Begin anew, go on where the last run stopped if there is one, insist on that, or go on from this folder."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How one training begins."""

    resume: Resume = "never"
    """Whether it goes on where another one stopped."""
    allow_changes: tuple[str, ...] = ()
    """Names of what may differ from the run that it goes on with."""
    evaluate: bool = True
    """Whether base and tuned are compared on the test rows at the end, if there are any."""

    @classmethod
    def of(
        cls, resume: Resume | str | os.PathLike[str], allow_changes: Iterable[str], *, evaluate: bool = True
    ) -> TrainOptions:
        """Tell words from paths."""
        words: tuple[Literal["never", "auto", "must"], ...] = ("never", "auto", "must")
        chosen: Resume = next((word for word in words if word == resume), Path(resume))
        names = (allow_changes,) if isinstance(allow_changes, str) else tuple(allow_changes)
        return cls(chosen, names, evaluate)
