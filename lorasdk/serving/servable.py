"""What a server needs of a tuner; `lorasdk.FineTuner` has it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lorasdk.asking import Scheduler
from lorasdk.recipe import Recipe


class NamedAdapter(Protocol):
    """What a server tells of an adapter."""

    @property
    def name(self) -> str:
        """What clients call it."""
        ...

    @property
    def created(self) -> str:
        """When it was trained."""
        ...


class AdapterShelf(Protocol):
    """Adapters by name, on one base model."""

    def load(self, name: str, path: str | os.PathLike[str], *, replace: bool = False) -> NamedAdapter:
        """Take an adapter in.

        Raises:
            AdapterError: it does not fit, or the name is taken.
        """
        ...

    def unload(self, name: str) -> None:
        """Let go of an adapter.

        Raises:
            AdapterError: there is none of this name.
        """
        ...

    def list(self) -> Sequence[NamedAdapter]:
        """All of them."""
        ...


class Servable(Protocol):
    """A base model, its own adapter if it has one, and any number by name."""

    @property
    def recipe(self) -> Recipe:
        """Names the base model and the tuner's own adapter."""
        ...

    @property
    def adapter_dir(self) -> Path | None:
        """Folder of its own adapter; None without one."""
        ...

    @property
    def adapters(self) -> AdapterShelf:
        """The others."""
        ...

    def open_scheduler(self, *, max_rows: int = 32, max_waiting: int = 256) -> Scheduler:
        """Whatever answers; loads the base model."""
        ...
