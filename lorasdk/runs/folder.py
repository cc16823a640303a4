"""Where a run writes, and where to find the adapter of an earlier one."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorasdk.checkpoints.whole_file import write_whole_json
from lorasdk.errors import AdapterError, Problem, ResourceError

ADAPTER = "adapter"
PASSPORT = "lorasdk.json"
FACTS = "run.json"
"""What belongs to this machine and therefore not into the adapter's passport."""


def new_run_dir(parent: Path, *, recipe_yaml: str, recipe_dir: Path) -> Path:
    """Make the next free folder ``run-0001``, ``run-0002``, …; several processes may do so at once.

    Raises:
        ResourceError: the folder cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name[4:]) for path in runs_in(parent)), default=0) + 1
        while True:
            run_dir = parent / f"run-{number:04d}"
            try:
                run_dir.mkdir()
                break
            except FileExistsError:
                number += 1
        (run_dir / "recipe.yaml").write_text(recipe_yaml, encoding="utf-8")
        (run_dir / FACTS).write_text(json.dumps({"recipe_dir": str(recipe_dir)}) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            Problem(
                code="run.folder",
                message=f"the run's folder cannot be made: {error}",
                place=str(parent),
                field="output_dir",
                fix="choose an output_dir that can be written to",
            )
        ) from error
    return run_dir


def mark_ended(run_dir: Path, stopped: str) -> None:
    """Write down that a run is over and its caller is about to be told; a killed one is never marked.

    Raises:
        ResourceError: the disk refuses.
    """
    try:
        write_whole_json(run_dir / FACTS, {**_facts(run_dir), "ended": stopped})
    except OSError as error:
        raise ResourceError(
            Problem("run.folder", f"the end of the run cannot be written down: {error}", str(run_dir / FACTS))
        ) from error


def is_finished(run_dir: Path) -> bool:
    """Whether a run came to its end, rather than being killed, failing, or being stopped by request.

    Raises:
        AdapterError: its facts are damaged.
    """
    return _facts(run_dir).get("ended") in {"finished", "early_stopping"}


def find_adapter_dir(path: Path) -> Path:
    """The adapter folder that `path` names: itself, that of a run, or that of the latest run in a recipe's folder.

    Raises:
        AdapterError: there is none.
    """
    candidates = [path, path / ADAPTER, *(run / ADAPTER for run in reversed(runs_in(path)))]
    for candidate in candidates:
        if (candidate / PASSPORT).is_file():
            return candidate
    raise AdapterError(
        Problem(
            code="adapter.missing",
            message="there is no adapter here",
            place=str(path.absolute()),
            found="no such folder"
            if not path.is_dir()
            else f"no {PASSPORT} in it, in {ADAPTER}/ or in run-*/{ADAPTER}/",
            allowed="an adapter folder, a run's folder, or a folder of runs",
            fix="train first: FineTuner.from_recipe(…).train(), then name result.adapter_dir",
        )
    )


def recipe_dir_of(adapter_dir: Path) -> Path | None:
    """The folder that the recipe's relative paths started from, if the adapter still lies in its run's folder."""
    folder = _facts(adapter_dir.parent).get("recipe_dir")
    return None if folder is None else Path(folder)


def _facts(run_dir: Path) -> dict[str, str]:
    path = run_dir / FACTS
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        problem = Problem("run.damaged-facts", f"{FACTS} cannot be read: {error}", str(path), fix="delete the file")
        raise AdapterError(problem) from error


def runs_in(parent: Path) -> list[Path]:
    """The folders of a recipe's runs, the latest last."""
    runs = (path for path in parent.glob("run-*") if path.name[4:].isdecimal() and path.is_dir())
    return sorted(runs, key=lambda path: int(path.name[4:]))
