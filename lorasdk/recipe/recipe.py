"""The `Recipe`: all sections together, with where it came from and a hash of what it means."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import PrivateAttr, model_validator

from lorasdk.recipe.fields import FolderName, Section, Text
from lorasdk.recipe.meaning import canonical
from lorasdk.recipe.plain import plain_data, without_secrets
from lorasdk.recipe.rules import refuse, watching_breaches
from lorasdk.recipe.schema import (
    BaseModelSection,
    DataSection,
    EvaluationSection,
    GenerationSection,
    LoraSection,
    TrainingSection,
)

Location = tuple[str | int, ...]
"""Path of a field, such as ``("data", "train", "path")``."""

SECRETS = (("base_model", "token"),)
"""Fields of the recipe itself that hold secrets."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe was read, so that later gates can point into it."""

    base_dir: Path = field(default_factory=Path.cwd)
    """Relative paths start here."""
    places: Mapping[Location, str] = field(default_factory=dict)
    """``file:line:column`` of each field that was written."""
    keys: Mapping[Location, str] = field(default_factory=dict)
    """``file:line:column`` of the key of each of these fields."""
    references: Mapping[Location, str] = field(default_factory=dict)
    """``${env:NAME}`` of each of the recipe's own secrets that was given so."""

    def place(self, location: Location, *, key: bool = False) -> str:
        """Place of the value at `location` (or of its key), or of the nearest field around it; empty when unknown."""
        if key and location in self.keys:
            return self.keys[location]
        while location and location not in self.places:
            location = location[:-1]
        return self.places.get(location, "")


class Recipe(Section):
    """Everything one training needs to know, as data.

    Building one in code raises pydantic's `ValidationError`; `load_recipe` with a mapping raises a `RecipeError` that
    explains more.
    """

    version: Literal[1] = 1
    """Version of the recipe format."""
    name: FolderName
    """Names the run's folder: letters, digits, `.`, `_`, `-`."""
    output_dir: Text = "runs"
    """Folder that receives the runs, relative to the recipe's folder."""
    base_model: BaseModelSection = BaseModelSection()
    """Which model to adapt."""
    data: DataSection = DataSection()
    """Which rows to learn from."""
    lora: LoraSection = LoraSection()
    """The low-rank adapter."""
    training: TrainingSection = TrainingSection()
    """How it is trained."""
    evaluation: EvaluationSection = EvaluationSection()
    """How base and tuned model are compared."""
    generation: GenerationSection = GenerationSection()
    """How answers are generated."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="after")
    def _what_is_watched_exists(self) -> Self:
        breaches = watching_breaches(
            validation_given=self.data.validation is not None,
            early_stopping_given=self.training.early_stopping is not None,
            keep=self.training.keep,
        )
        return refuse(self, *breaches)

    @property
    def base_dir(self) -> Path:
        """Folder of the recipe's file, or the working directory at the time it was built."""
        return self._origin.base_dir

    @property
    def origin(self) -> Origin:
        """Where the recipe was read."""
        return self._origin

    @property
    def references(self) -> Mapping[Location, str]:
        """``${env:NAME}`` of each of the recipe's own secrets that was given so."""
        return self._origin.references

    def path(self, text: str) -> Path:
        """Make a path of the recipe absolute: relative to `base_dir`, with ``~`` expanded."""
        # Not Path.expanduser, which fails for a user that does not exist.
        return self.base_dir / os.path.expanduser(text)  # noqa: PTH111

    def place(self, *location: str | int) -> str:
        """``file:line:column`` of a field, or of the nearest written field around it; empty when built in code."""
        return self._origin.place(location)

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex of the recipe's meaning: all values, but no name, output folder, spelling or secret."""
        return hashlib.sha256(canonical(self.dump()).encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """All values as JSON-able data, defaults filled in; secrets and references to them are left out."""
        values: dict[str, Any] = plain_data(without_secrets(self.model_dump(exclude={"base_model": {"token"}})))
        values["data"] = {key: _without_references(item) for key, item in values["data"].items()}
        evaluation = values["evaluation"]
        evaluation["evaluators"] = [_without_references(item) for item in evaluation["evaluators"]]
        return values

    def to_yaml(self) -> str:
        """Write the recipe: what differs from the defaults, in its short forms.

        A secret is written as the ``${env:NAME}`` it was read from; one that was given in code is left out. Relative
        paths stay relative, so the text belongs into `base_dir`.
        """
        from lorasdk.recipe.short_forms import shortened
        from lorasdk.recipe.writing import write_yaml

        return write_yaml(shortened(self))

    def with_origin(self, origin: Origin) -> Recipe:
        """A copy that knows where it was read."""
        copy = self.model_copy()
        copy._origin = origin  # noqa: SLF001 - its own class
        return copy

    def with_base_dir(self, base_dir: Path) -> Recipe:
        """A copy whose relative paths start at `base_dir`."""
        return self.with_origin(replace(self._origin, base_dir=base_dir))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.name, self.output_dir))


def is_reference(value: object) -> bool:
    """Whether `value` is a text that stands for an environment variable."""
    return isinstance(value, str) and value.startswith("${env:") and value.endswith("}")


def _without_references(value: Any) -> Any:  # noqa: ANN401 - plain data
    return {k: v for k, v in value.items() if not is_reference(v)} if isinstance(value, dict) else value
