"""The `Recipe`: all sections together, with where it came from and a hash of what it means."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr, model_validator

from lorasdk.recipe.schema import (
    BaseModelSection,
    DataSection,
    EvaluationSection,
    FolderName,
    GenerationSection,
    LoraSection,
    Section,
    Text,
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
    references: Mapping[Location, str] = field(default_factory=dict)
    """``${env:NAME}`` of each secret that was given so."""


class Recipe(Section):
    """Everything one training needs to know, as data."""

    version: Literal[1] = 1
    """Version of the recipe format."""
    name: FolderName
    """Names the run's folder: letters, digits, `.`, `_`, `-`."""
    output_dir: Text = "runs"
    """Folder that receives the runs, relative to the recipe's folder."""
    base_model: BaseModelSection = BaseModelSection()
    """Which model to adapt."""
    data: DataSection
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
    def _validation_rows_exist(self) -> Recipe:
        needs = [
            n
            for n, used in (
                ("keep: best", self.training.keep == "best"),
                ("early_stopping", self.training.early_stopping is not None),
            )
            if used
        ]
        if needs and self.data.validation is None:
            raise ValueError(f"training.{needs[0]} needs validation rows; set data.validation, for example to 0.1")
        return self

    @property
    def base_dir(self) -> Path:
        """Folder of the recipe's file, or the working directory when it was built in code."""
        return self._origin.base_dir

    def path(self, text: str) -> Path:
        """Make a path of the recipe absolute."""
        return self.base_dir / Path(text).expanduser()

    def place(self, *location: str | int) -> str:
        """``file:line:column`` of a field, or of the nearest written field around it; empty when built in code."""
        places = self._origin.places
        while location and location not in places:
            location = location[:-1]
        return places.get(location, "")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the recipe's meaning: values and defaults, but not names, folders, spelling or secrets."""
        meaning = self.dump()
        del meaning["name"], meaning["output_dir"]
        canonical = json.dumps(_normal_paths(meaning), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """All values as JSON-able data, without secrets."""
        return self.model_dump(mode="json", exclude={"base_model": {"token"}})

    def to_yaml(self) -> str:
        """Write the recipe with only what differs from the defaults; secrets stay references to the environment."""
        from lorasdk.recipe.writing import write_yaml

        data = self.model_dump(mode="json", exclude_defaults=True, exclude={"base_model": {"token"}})
        for location, reference in self._origin.references.items():
            section, key = location
            data.setdefault(str(section), {})[str(key)] = reference
        return write_yaml({"version": self.version, "name": self.name, **data})

    @property
    def references(self) -> Mapping[Location, str]:
        """``${env:NAME}`` of each secret that was given so."""
        return self._origin.references

    def with_origin(self, origin: Origin) -> Recipe:
        """A copy that knows where it was read."""
        copy = self.model_copy()
        copy._origin = origin  # noqa: SLF001 - its own class
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def _normal_paths(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        paths = {k: posixpath.normpath(v) for k, v in value.items() if k == "path" and isinstance(v, str)}
        return {key: paths.get(key, _normal_paths(item)) for key, item in value.items()}
    return [_normal_paths(item) for item in value] if isinstance(value, list) else value
