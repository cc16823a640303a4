"""What a check of a plugin found, and code of the plugin's that is called so that nothing it raises goes unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lorasdk.errors import LorasdkError, Problem

Given = TypeVar("Given")


@dataclass
class Findings:
    """Problems of one plugin, in the order they were found."""

    place: str
    """The plugin, or the component that is looked at."""
    problems: list[Problem] = field(default_factory=list)

    def at(self, place: str) -> Findings:
        """The same list, for another place."""
        return Findings(place, self.problems)

    def add(self, message: str, *, fix: str, field: str = "", found: str = "", allowed: str = "") -> None:
        """Note a problem."""
        self.problems.append(
            Problem(
                code="plugin.contract-broken",
                message=message,
                place=self.place,
                field=field,
                found=found,
                allowed=allowed,
                fix=fix,
            )
        )

    def attempt(self, what: str, work: Callable[[], Given], *, allowed: bool = False) -> Given | None:
        """Call code of the plugin's that should succeed; with `allowed`, it may also raise one of our errors.

        Gives what it gives, or None when it raised.
        """
        try:
            return work()
        except LorasdkError as error:
            if not allowed:
                self.add(f"{what} raised {type(error).__name__}: {error}", fix="give options that work in a test")
        except Exception as error:  # noqa: BLE001 - that nothing else comes out is what is checked
            self.add(
                f"{what} raised {type(error).__name__}: {error}",
                allowed="errors of lorasdk, with a code, a place and a fix: DataError, ModelError, InferenceError, …",
                fix="translate it where the plugin calls the library: raise DataError(Problem(…)) from error",
            )
        return None
