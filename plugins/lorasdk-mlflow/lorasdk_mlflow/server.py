"""MLflow's client, reduced to what a `Tracker` asks. Imports MLflow, so it is for the client's own process alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from lorasdk_mlflow.commands import Reading, Status
from lorasdk_mlflow.tracker import KnownRun

METRICS_AT_ONCE, PARAMS_AT_ONCE = 1000, 100
"""What one request may hold."""
EXISTS = "RESOURCE_ALREADY_EXISTS"

Item = TypeVar("Item")


class MlflowServer:
    """A tracking server, through a client of its own: there is no active run."""

    def __init__(self, tracking_uri: str) -> None:
        self._client = MlflowClient(tracking_uri=tracking_uri)

    def find(self, experiment: str, tag: str, value: str) -> KnownRun | None:
        """The latest run of an experiment with this tag."""
        known = self._client.get_experiment_by_name(experiment)
        quote = '"' if "'" in value else "'"
        if known is None or quote in value:
            return None
        wanted = f"tags.`{tag}` = {quote}{value}{quote}"
        found = self._client.search_runs(
            [known.experiment_id], wanted, max_results=1, order_by=["attributes.start_time DESC"]
        )
        return KnownRun(found[0].info.run_id, dict(found[0].data.params)) if found else None

    def create(self, experiment: str, run_name: str, tags: Mapping[str, str]) -> KnownRun:
        """A new run, and its experiment if there is none."""
        run = self._client.create_run(self._experiment_id(experiment), tags=dict(tags), run_name=run_name)
        return KnownRun(run.info.run_id, {})

    def log(
        self,
        run_id: str,
        *,
        readings: Sequence[Reading] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Store values, in as many requests as they need."""
        for part in _parts(readings, METRICS_AT_ONCE):
            metrics = [Metric(item.name, item.value, item.time_ms, item.step) for item in part]
            self._client.log_batch(run_id, metrics=metrics)
        for texts in _parts((params or {}).items(), PARAMS_AT_ONCE):
            self._client.log_batch(run_id, params=[Param(name, text) for name, text in texts])
        for texts in _parts((tags or {}).items(), PARAMS_AT_ONCE):
            self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in texts])

    def upload(self, run_id: str, path: Path, under: str) -> None:
        """Store a file or folder."""
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), under or None)
        else:
            self._client.log_artifact(run_id, str(path), under or None)

    def set_status(self, run_id: str, status: Status | None, time_ms: int | None = None) -> None:
        """End a run at a time, or without a status let it run."""
        if status is None:
            self._client.update_run(run_id, status="RUNNING")
        else:
            self._client.set_terminated(run_id, status, time_ms)

    def last_step(self, run_id: str, metric: str) -> int:
        """The highest step a metric has; -1 for none."""
        return max((value.step for value in self._client.get_metric_history(run_id, metric)), default=-1)

    def _experiment_id(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as error:
            # Another run made it in between.
            if error.error_code != EXISTS or (known := self._client.get_experiment_by_name(name)) is None:
                raise
            return str(known.experiment_id)


def _parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part
