"""Finds the run that a training goes on with."""

from __future__ import annotations

from pathlib import Path

from lorasdk.errors import CheckpointError, Problem
from lorasdk.recipe import Recipe
from lorasdk.runs.folder import FACTS, is_finished, new_run_dir, runs_in
from lorasdk.train_options import Resume


def run_dir_for(recipe: Recipe, resume: Resume) -> Path:
    """The folder of the run to go on with, or a new one.

    Raises:
        CheckpointError: there is no such run.
        ResourceError: a folder cannot be made.
    """
    parent = recipe.path(recipe.output_dir) / recipe.name
    found = run_to_resume(resume, parent)
    return found or new_run_dir(parent, recipe_yaml=recipe.to_yaml(), recipe_dir=recipe.base_dir)


def run_to_resume(resume: Resume, parent: Path) -> Path | None:
    """The folder of the run to go on with; None to begin anew.

    Args:
        resume: ``never``; ``auto``: the latest run, if it did not come to its end; ``must``: the same, or an error;
            or a run's folder, or something in it.
        parent: the folder of the recipe's runs.

    Raises:
        CheckpointError: there is no such run.
    """
    if isinstance(resume, Path):
        return _run_around(resume)
    if resume == "never":
        return None
    latest = next(reversed(runs_in(parent)), None)
    found = latest if latest is not None and not is_finished(latest) else None
    if found is None and resume == "must":
        raise CheckpointError(_nothing_to_resume(parent, latest))
    return found


def _run_around(path: Path) -> Path:
    absolute = path.expanduser().absolute()
    for folder in (absolute, *absolute.parents):
        if (folder / FACTS).is_file():
            return folder
    raise CheckpointError(
        Problem(
            code="checkpoint.no-run",
            message="there is no run to resume here",
            place=str(absolute),
            found="no such folder" if not absolute.exists() else f"no {FACTS} in it or above it",
            allowed="a run's folder, such as runs/NAME/run-0001",
            fix="name result.run_dir, or use resume='auto'",
        )
    )


def _nothing_to_resume(parent: Path, latest: Path | None) -> Problem:
    return Problem(
        code="checkpoint.nothing-to-resume",
        message="resume='must', but there is no run that did not come to its end",
        place=str(parent),
        found="no run" if latest is None else f"{latest.name}, which is finished",
        fix="use resume='auto' to begin a run where there is none to resume",
    )
