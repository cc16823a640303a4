"""`load_recipe`: from a file, a text or a mapping to a `Recipe`, or to all its problems at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.explaining import explain
from lorasdk.recipe.file_text import IN_CODE, read_recipe_file
from lorasdk.recipe.overrides import Overrides, apply_overrides
from lorasdk.recipe.reading import Document, read_document
from lorasdk.recipe.recipe import SECRETS, Location, Origin, Recipe
from lorasdk.recipe.schema import TWO_ENDS
from lorasdk.recipe.secrets import resolve_secret, stray_references
from lorasdk.recipe.versions import version_problem

MINIMAL = """version: 1
name: my-first
data:
  train: rows.jsonl"""
"""The shortest recipe; the base model and everything else has a default."""

RecipeSource = str | os.PathLike[str] | Mapping[str, object] | Recipe


@dataclass
class _Draft:
    """A recipe on its way: data that is not validated yet, and where it came from."""

    data: object
    name: str
    text: str = ""
    base_dir: Path = field(default_factory=Path.cwd)
    keys: dict[Location, str] = field(default_factory=dict)
    values: dict[Location, str] = field(default_factory=dict)
    references: dict[Location, str] = field(default_factory=dict)
    literal_secrets_allowed: bool = False

    def place(self, location: Location, key: bool) -> str:
        """Nearest known place of a key or value."""
        table = self.keys if key else self.values
        while location and location not in table:
            location, table = location[:-1], self.values
        return table.get(location, self.name)


def load_recipe(source: RecipeSource, *, overrides: Overrides = ()) -> Recipe:
    """Read and validate a recipe; no plugin and no model is touched.

    Args:
        source: a path (a `Path`, or a text of one line without ``{``), YAML 1.2 or JSON text (more than one line, or
            starting with ``{``), a mapping, or a `Recipe`. Relative paths in it start at the file's folder, else at
            the working directory.
        overrides: ``["lora.rank=4"]`` or ``{"lora.rank": 4}``.

    Raises:
        RecipeError: every problem, each with its place, what was found and what is allowed.
    """
    if isinstance(source, Recipe):
        if not overrides:
            return source
        base_dir = source.base_dir
        draft = _Draft(source.model_dump(exclude_unset=True), "recipe", base_dir=base_dir, literal_secrets_allowed=True)
        draft.references.update(source.references)
    else:
        draft = _draft(source)
    if not isinstance(draft.data, dict):
        raise RecipeError(_not_a_mapping(draft))
    places = apply_overrides(draft.data, overrides)
    draft.keys.update(places)
    draft.values.update(places)
    return _validate(draft, draft.data)


def _draft(source: str | os.PathLike[str] | Mapping[str, object]) -> _Draft:
    if isinstance(source, Mapping):
        return _Draft(_plain(source), "recipe", literal_secrets_allowed=True)
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{") or not source.strip()):
        return _parsed(source, "recipe", Path.cwd())
    path = Path(source).expanduser()
    return _parsed(read_recipe_file(path), str(source), path.absolute().parent)


def _parsed(text: str, name: str, base_dir: Path) -> _Draft:
    document: Document = read_document(text, name=name)
    return _Draft(document.data, name, text, base_dir, document.keys, document.values)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _not_a_mapping(draft: _Draft) -> Problem:
    if draft.data is None:
        return Problem("recipe.empty", "the recipe is empty", draft.name, fix=f"begin with:\n{MINIMAL}")
    kind = type(draft.data).__name__
    return Problem(
        code="recipe.not-a-mapping",
        message=f"expected a mapping, got {kind}",
        place=draft.place((), False),
        found=kind,
        allowed="keys with values, such as\n" + MINIMAL,
        fix="remove the leading '- '" if kind == "list" else f"write a recipe, or build one in code: {IN_CODE}",
    )


def _validate(draft: _Draft, data: dict[str, object]) -> Recipe:
    wrong_version = version_problem(data, text=draft.text, place=draft.place(("version",), False))
    if wrong_version is not None:
        raise RecipeError(wrong_version)
    problems = stray_references(data, draft.values)
    problems += _resolve_secrets(draft, data)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        problems += explain(error, Recipe, place=draft.place)
        problems += _two_ends(draft, data, problems)
    if problems:
        raise RecipeError(*problems)
    return recipe.with_origin(Origin(draft.base_dir, draft.values, draft.references))


def _two_ends(draft: _Draft, data: dict[str, object], known: list[Problem]) -> list[Problem]:
    """The contradiction that pydantic looks for only when every single field is right."""
    training = data.get("training")
    both = isinstance(training, dict) and all(training.get(key) is not None for key in ("epochs", "max_steps"))
    if not both or any(problem.code == "recipe.inconsistent" and problem.field == "training" for problem in known):
        return []
    place = draft.place(("training", "max_steps"), True)
    return [Problem("recipe.inconsistent", TWO_ENDS, place, "training")]


def _resolve_secrets(draft: _Draft, data: dict[str, object]) -> list[Problem]:
    problems: list[Problem] = []
    for section_name, key in SECRETS:
        section = data.get(section_name)
        value = section.get(key) if isinstance(section, dict) else None
        if not isinstance(section, dict) or value is None:
            continue
        reference = isinstance(value, str) and value.startswith("${env:")
        if draft.literal_secrets_allowed and not reference:
            continue
        location = (section_name, key)
        resolved, problem = resolve_secret(value, field=".".join(location), place=draft.place(location, False))
        data[section_name] = {**section, key: resolved}
        problems += [problem] if problem else []
        draft.references[location] = str(value)
    return problems
