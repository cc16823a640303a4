"""`load_recipe`: from a file, a text or a mapping to a `Recipe`, or to all its problems at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.explaining import Context
from lorasdk.recipe.file_text import IN_CODE, read_recipe_file
from lorasdk.recipe.homes import recipe_homes
from lorasdk.recipe.judging import judge
from lorasdk.recipe.overrides import Overrides, apply_overrides
from lorasdk.recipe.plain import plain_data
from lorasdk.recipe.reading import read_document
from lorasdk.recipe.recipe import SECRETS, Location, Origin, Recipe
from lorasdk.recipe.secrets import resolve_secret, stray_references
from lorasdk.recipe.versions import version_problem

MINIMAL = """version: 1
name: my-first
data:
  train: rows.jsonl"""
"""The shortest recipe; the base model and everything else has a default."""

_STAND_INS: Mapping[Location, object] = {
    ("name",): "unnamed",
    ("data",): {"train": "unknown"},
    ("data", "train"): "unknown",
}
"""Lets the search for more problems go on where a required field is missing."""

RecipeSource: TypeAlias = str | os.PathLike[str] | Mapping[str, object] | Recipe
"""Anything that `load_recipe` takes."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A recipe that is not validated yet."""

    data: Any
    name: str
    """What places begin with."""
    origin: Origin
    text: str = ""
    """What was read, when it was a text."""


def load_recipe(source: RecipeSource, *, overrides: Overrides = ()) -> Recipe:
    """Read and validate a recipe; no plugin and no model is touched.

    Args:
        source: a path (a `Path`, or a string of one line), YAML 1.2 or JSON text (a string of several lines, or one
            that starts with ``{``), a mapping, or a `Recipe`. Relative paths in it start at the file's folder, else
            at the working directory.
        overrides: ``["lora.rank=4"]``, each value written as in YAML, or ``{"lora.rank": 4}``. They are applied in
            order, before validation; ``null`` empties an optional field.

    Raises:
        RecipeError: every problem, each with its place, what was found and what is allowed.
    """
    if isinstance(source, Recipe) and not overrides:
        return source
    draft = _draft(source)
    if not isinstance(draft.data, dict):
        raise RecipeError(_not_a_mapping(draft))
    wrong_version = version_problem(draft.data, text=draft.text, place=_place(draft, ("version",)))
    if wrong_version is not None:
        raise RecipeError(wrong_version)
    return _validated(replace(draft, origin=apply_overrides(draft.data, overrides, draft.origin)))


def _draft(source: RecipeSource) -> _Draft:
    if isinstance(source, Recipe):
        return _Draft(plain_data(source), "", source.origin)
    if isinstance(source, Mapping):
        return _Draft(plain_data(source), "", Origin())
    if isinstance(source, str) and _is_text(source):
        return _parsed(source, "<text>", Path.cwd())
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - Path.expanduser fails for a user that does not exist
    return _parsed(read_recipe_file(path), str(source), path.absolute().parent)


def _is_text(source: str) -> bool:
    return "\n" in source or source.lstrip().startswith("{") or not source.strip()


def _parsed(text: str, name: str, base_dir: Path) -> _Draft:
    document = read_document(text, name=name)
    return _Draft(document.data, name, Origin(base_dir, document.values, document.keys), text)


def _place(draft: _Draft, location: Location) -> str:
    return draft.origin.place(location) or draft.name


def _not_a_mapping(draft: _Draft) -> Problem:
    if draft.data is None:
        return Problem(
            code="recipe.empty",
            message="the recipe is empty",
            place=draft.name,
            found="nothing",
            allowed="at least a name and training rows",
            fix=f"begin with:\n{MINIMAL}",
        )
    kind = type(draft.data).__name__
    return Problem(
        code="recipe.not-a-mapping",
        message=f"expected a mapping, got {kind}",
        place=_place(draft, ()),
        found=kind,
        allowed=f"keys with values, such as\n{MINIMAL}",
        fix="remove the '- ' before the keys" if kind == "list" else f"write keys, or build it in code: {IN_CODE}",
    )


def _validated(draft: _Draft) -> Recipe:
    problems = stray_references(draft.data, draft.origin)
    data, references, unresolved = _with_secrets(draft)
    context = Context(
        place=lambda location, key: draft.origin.place(location, key=key) or draft.name, homes=recipe_homes
    )
    recipe, wrong = judge(Recipe, data, context, stand_ins=_STAND_INS)
    problems += unresolved + wrong
    if recipe is None or problems:
        raise RecipeError(*problems)
    return recipe.with_origin(replace(draft.origin, references=references))


def _with_secrets(draft: _Draft) -> tuple[dict[str, Any], dict[Location, str], list[Problem]]:
    """The data with each secret read from the environment, and the references they were read from."""
    data, problems = dict(draft.data), []
    references: dict[Location, str] = {}
    for location in SECRETS:
        section, key = location
        if not isinstance(data.get(section), dict) or key not in data[section]:
            continue
        if not isinstance(data[section][key], str):
            # Given in code, or left over from a recipe that was read before.
            references.update({at: ref for at, ref in draft.origin.references.items() if at == location})
            continue
        secret, problem = resolve_secret(data[section][key], field=".".join(location), place=_place(draft, location))
        references.update({location: data[section][key]} if problem is None else {})
        problems += [problem] if problem else []
        data[section] = {**data[section], key: secret}
    return data, references, problems
