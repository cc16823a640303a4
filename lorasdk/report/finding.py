"""Where a report lies, whichever folder of a run somebody names."""

from __future__ import annotations

from pathlib import Path

from lorasdk.errors import AdapterError
from lorasdk.report.document import NAME, missing_report
from lorasdk.runs.event_log import EVENTS
from lorasdk.runs.folder import ADAPTER, FACTS, PASSPORT, runs_in


def report_home(path: Path) -> Path | None:
    """The folder that a report belongs into: the one that tells most about what `path` names.

    For an adapter that is the run's folder around it, or its own when it was copied out of one; for a folder of runs,
    the latest run's. None when `path` is nothing of these.
    """
    absolute = path.absolute()
    if (absolute / PASSPORT).is_file():
        run = absolute.parent
        return run if absolute.name == ADAPTER and _has(run, FACTS, EVENTS) else absolute
    latest = runs_in(absolute)[-1:] if absolute.is_dir() else []
    known = (FACTS, EVENTS, f"{NAME}.json", f"{ADAPTER}/{PASSPORT}")
    return next((folder for folder in (absolute, *latest) if _has(folder, *known)), None)


def find_report(path: Path) -> Path:
    """The ``report.json`` that `path` names: that file, or that of an adapter, a run, or the latest run in a folder.

    Raises:
        AdapterError: there is none.
    """
    if path.suffix == ".json" and path.is_file():
        return path
    home = report_home(path)
    if home is None:
        found = "neither a run nor an adapter nor a report" if path.exists() else "no such folder"
        raise AdapterError(missing_report(path, found))
    if not (home / f"{NAME}.json").is_file():
        raise AdapterError(missing_report(path, f"no {NAME}.json in {home.name}"))
    return home / f"{NAME}.json"


def _has(folder: Path, *names: str) -> bool:
    return any((folder / name).is_file() for name in names)
