"""The observers' shared half, which tells runs apart, and the observer that an application hands over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lorasdk import ComparisonFinished, Event, RunFailed, RunFinished, RunStarted, hookimpl
from lorasdk_mlflow.narrator import Narrator
from lorasdk_mlflow.options import TrackingOptions
from lorasdk_mlflow.recording import Recording
from lorasdk_mlflow.redacting import shown_uri


class RecordedRuns:
    """The runs that are being recorded, by their folder, so that one observer may serve several tuners at once."""

    def __init__(self) -> None:
        # Runs go on in several threads. No lock: every use below is a single operation of the dict.
        self._runs: dict[Path, tuple[Narrator, Recording]] = {}

    def hear(self, event: Event, run_dir: Path | None, options: TrackingOptions | None) -> None:
        """Record an event of the run in `run_dir`; a run that begins is recorded when there are options."""
        if isinstance(event, ComparisonFinished) and run_dir not in self._runs:
            self._compare(event, options)
        elif run_dir is None:
            return
        elif isinstance(event, RunStarted):
            self._begin(event, run_dir, options)
        else:
            self._go_on(event, run_dir)

    def _begin(self, event: RunStarted, run_dir: Path, options: TrackingOptions | None) -> None:
        before = self._runs.pop(run_dir, None)
        if before is not None:  # a second Ctrl-C kept its end from being announced
            before[1].abandon()
        if options is None:
            return
        narrator = Narrator(options)
        commands = narrator.tell(event)
        recording = _recording(options, f"run {event.run_dir}")
        recording.add(commands)
        self._runs[run_dir] = narrator, recording

    def _go_on(self, event: Event, run_dir: Path) -> None:
        ends = isinstance(event, RunFinished | RunFailed)
        known = self._runs.pop(run_dir, None) if ends else self._runs.get(run_dir)
        if known is None:
            return
        narrator, recording = known
        recording.add(narrator.tell(event))
        if ends:
            recording.finish()

    def _compare(self, event: ComparisonFinished, options: TrackingOptions | None) -> None:
        if options is None:
            return
        commands = Narrator(options).alone(event)
        recording = _recording(options, f"the comparison of {event.adapter_dir}")
        recording.add(commands)
        recording.finish()


def _recording(options: TrackingOptions, label: str) -> Recording:
    return Recording(options, label=label, server=shown_uri(options.tracking_uri.get_secret_value()))


class MlflowObserver:
    """Logs runs to MLflow: ``FineTuner.from_recipe(…, plugins=[MlflowObserver(…)])``.

    It may be shared by several tuners. MLflow works in a process of its own; a server that cannot be reached, refuses
    or hangs costs one warning of the logger ``lorasdk_mlflow`` and never the training.
    """

    def __init__(
        self,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        log_adapter: bool = True,
        **bounds: float,
    ) -> None:
        """Say where and how.

        Args:
            tracking_uri: the server; ``MLFLOW_TRACKING_URI`` when not given.
            experiment: made when it does not exist; the recipe's name when not given.
            run_name: what MLflow shows; the recipe's name and the run's folder when not given.
            tags: your own, for each run.
            log_adapter: whether the adapter's folder is uploaded.
            bounds: ``flush_seconds``, ``request_seconds``, ``retries``, ``batch_seconds`` and ``pending_values`` of
                `TrackingOptions`.

        Raises:
            PluginError: an option is wrong or unknown, or no server is named.
        """
        self._options = TrackingOptions.of_application(
            tracking_uri,
            experiment=experiment,
            run_name=run_name,
            tags=tags or {},
            log_adapter=log_adapter,
            **bounds,
        )
        self._runs = RecordedRuns()

    @hookimpl
    def on_event(self, event: Event, run_dir: Path | None) -> None:
        """Record an event; never waits but at the end of a run, and there within bounds."""
        self._runs.hear(event, run_dir, self._options)
