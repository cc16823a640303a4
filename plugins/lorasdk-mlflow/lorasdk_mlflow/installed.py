"""The observer that comes with the installed package: silent unless the environment names a server."""

from __future__ import annotations

from pathlib import Path

from lorasdk import ComparisonFinished, Event, RunStarted, hookimpl
from lorasdk_mlflow.observer import RecordedRuns
from lorasdk_mlflow.options import TrackingOptions


class InstalledObserver:
    """Records runs that begin while ``MLFLOW_TRACKING_URI`` is set, in ``MLFLOW_EXPERIMENT_NAME`` if it is."""

    def __init__(self) -> None:
        self._runs = RecordedRuns()

    @hookimpl
    def on_event(self, event: Event, run_dir: Path | None) -> None:
        """Record an event of a run that is to be recorded."""
        begins = isinstance(event, RunStarted | ComparisonFinished)
        self._runs.hear(event, run_dir, TrackingOptions.of_environment() if begins else None)
