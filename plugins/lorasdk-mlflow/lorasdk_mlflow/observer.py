"""The observers' shared half, which tells runs apart, and the observer that an application hands over."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from lorasdk import ComparisonFinished, Event, RunFailed, RunFinished, RunStarted, hookimpl
from lorasdk_mlflow.narrator import Narrator
from lorasdk_mlflow.options import TrackingOptions
from lorasdk_mlflow.recording import Recording
from lorasdk_mlflow.redacting import shown_uri


class RecordedRuns:
    """The runs that are being recorded, each known by the thread that announces its events.

    Events do not name their run, and all of a run are announced in one thread, so that one observer may serve several
    tuners at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: WeakKeyDictionary[threading.Thread, tuple[Narrator, Recording]] = WeakKeyDictionary()

    def hear(self, event: Event, options: TrackingOptions | None) -> None:
        """Record an event; a run that begins is recorded when there are options."""
        match event:
            case RunStarted():
                self._begin(event, options)
            case ComparisonFinished():
                self._compare(event, options)
            case _:
                self._go_on(event)

    def _begin(self, event: RunStarted, options: TrackingOptions | None) -> None:
        before = self._leave()
        if before is not None:  # it was interrupted, and nobody said so
            before.abandon()
        if options is None:
            return
        narrator = Narrator(options)
        commands = narrator.tell(event)
        recording = _recording(options, f"run {event.run_dir}")
        recording.add(commands)
        with self._lock:
            self._runs[threading.current_thread()] = narrator, recording

    def _go_on(self, event: Event) -> None:
        with self._lock:
            known = self._runs.get(threading.current_thread())
        if known is None:
            return
        narrator, recording = known
        recording.add(narrator.tell(event))
        if isinstance(event, RunFinished | RunFailed):
            self._leave()
            recording.finish()

    def _compare(self, event: ComparisonFinished, options: TrackingOptions | None) -> None:
        with self._lock:
            inside = threading.current_thread() in self._runs
        if inside:
            self._go_on(event)
        elif options is not None:
            commands = Narrator(options).alone(event)
            recording = _recording(options, f"the comparison of {event.adapter_dir}")
            recording.add(commands)
            recording.finish()

    def _leave(self) -> Recording | None:
        with self._lock:
            known = self._runs.pop(threading.current_thread(), None)
        return None if known is None else known[1]


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
    def on_event(self, event: Event) -> None:
        """Record an event; never waits but at the end of a run, and there within bounds."""
        self._runs.hear(event, self._options)
