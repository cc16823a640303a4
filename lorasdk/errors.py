"""Everything that lorasdk raises on purpose.

::

    LorasdkError
    ├── RecipeError      (ValueError)    the recipe's text or values: exit code 2
    ├── PluginError                      a plugin that cannot be used: 2
    ├── DataError        (ValueError)    rows, formats, masks: 2
    ├── ModelError                       base models, devices, LoRA targets: 2
    ├── AdapterError                     an adapter folder or its passport: 4
    ├── InferenceError   (ValueError)    what was asked of a predictor: 2
    ├── TrainingError    (RuntimeError)  a run that cannot go on: 1
    ├── CheckpointError                  a checkpoint that is damaged or does not fit: 4
    └── ResourceError    (RuntimeError)  memory, disk, locks: 3

An error carries one or more `Problem`s. Each says who complains (``code``), where (``place``, ``field``), what was
found, what is allowed and how to mend it. Several problems of the same gate are raised together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

MAX_SHOWN = 10
"""Problems printed by ``str(error)``; ``error.problems`` always holds all of them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, told so that its reader can mend it."""

    code: str
    """Stable identifier, ``area.kebab-case``: safe to match on, listed in the error reference."""
    message: str
    """What is wrong, in one sentence without the place."""
    place: str = ""
    """``file:line:column`` or ``file row n``; empty when the problem has no file."""
    field: str = ""
    """Dotted path of the recipe field or the name of the column or argument."""
    found: str = ""
    """What stood there, shortened; never a secret."""
    allowed: str = ""
    """What may stand there."""
    fix: str = ""
    """One line that says what to do."""

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.place, self.field, self.message) if part)
        notes = [("found", self.found), ("allowed", self.allowed), ("fix", self.fix)]
        return "\n".join([head, *(f"    {label}: {text}" for label, text in notes if text)])


class LorasdkError(Exception):
    """Base of all errors raised on purpose; catch it to catch them all."""

    exit_code: ClassVar[int] = 1
    """What the command line exits with."""

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise TypeError(f"{type(self).__name__} needs at least one Problem")
        super().__init__(*problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order they were found."""
        return self.args

    @property
    def code(self) -> str:
        """The first problem's code."""
        return self.problems[0].code

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > 1:
            shown.insert(0, f"{len(self.problems)} problems:")
        if len(self.problems) > MAX_SHOWN:
            shown.append(f"… and {len(self.problems) - MAX_SHOWN} more")
        return "\n".join(shown)


class RecipeError(LorasdkError, ValueError):
    """The recipe cannot be read or says something that is not allowed."""

    exit_code = 2


class PluginError(LorasdkError):
    """A plugin cannot be used, or a name is registered by none."""

    exit_code = 2


class DataError(LorasdkError, ValueError):
    """Rows cannot be read, converted, rendered or proved."""

    exit_code = 2


class ModelError(LorasdkError):
    """A base model cannot be found, trusted, loaded or adapted as asked."""

    exit_code = 2


class AdapterError(LorasdkError):
    """An adapter folder is missing, damaged, or belongs to another base model or template."""

    exit_code = 4


class InferenceError(LorasdkError, ValueError):
    """A predictor cannot answer what it was asked."""

    exit_code = 2


class TrainingError(LorasdkError, RuntimeError):
    """A run cannot go on; what was saved before stays valid."""


class CheckpointError(LorasdkError):
    """A checkpoint is damaged or belongs to another run."""

    exit_code = 4


class ResourceError(LorasdkError, RuntimeError):
    """Memory, disk space or a lock could not be had."""

    exit_code = 3
