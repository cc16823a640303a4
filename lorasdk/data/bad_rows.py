"""Collects rows that cannot be used, and raises or skips them as the recipe says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from lorasdk.errors import DataError, Problem

MOST_COLLECTED = 1000
"""After so many faulty rows the source as a whole is wrong, and reading on tells nothing new."""


@dataclass
class BadRows:
    """One split's faulty rows; `report` is what loaders and converters call with each."""

    policy: Literal["error", "skip"]
    """The recipe's ``data.on_bad_row``."""
    problems: list[Problem] = field(default_factory=list)
    """What was reported, in order."""

    def report(self, problem: Problem) -> None:
        """Take note of a faulty row.

        Raises:
            DataError: the policy is ``error`` and there are so many that reading on is pointless.
        """
        self.problems.append(problem)
        if self.policy == "error" and len(self.problems) >= MOST_COLLECTED:
            self.settle()

    def settle(self) -> None:
        """Raise what was collected if the policy is ``error``.

        Raises:
            DataError: all collected problems, in order.
        """
        if self.problems and self.policy == "error":
            raise DataError(*self.problems)

    def summary(self) -> str:
        """Counts by kind and the first places, for a notice."""
        kinds = ", ".join(f"{count}× {code}" for code, count in Counter(p.code for p in self.problems).most_common())
        places = ", ".join(problem.place for problem in self.problems[:10])
        return f"{len(self.problems)} row(s) skipped ({kinds}): {places}"
