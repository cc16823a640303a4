"""What a `FineTuner` keeps between calls: rows once read, the model once loaded, the adapter it answers with."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.announcing import Announcer, OnEvent
from lorasdk.data.examples import Examples
from lorasdk.errors import InferenceError, LorasdkError, ResourceError, TrainingError
from lorasdk.eval_report import EvalReport
from lorasdk.events import Emit, Notice, RunFinished
from lorasdk.heavy_rooms import Bench, Rooms, StreamingPredictor, TrainingOrder
from lorasdk.plugins import Manager
from lorasdk.refusals import busy, generation_settings, no_adapter, out_of_memory, several_processes
from lorasdk.resolving import Resolved
from lorasdk.results import TrainResult
from lorasdk.runs.event_log import EVENTS, EventLog, announced
from lorasdk.runs.folder import mark_ended
from lorasdk.runs.lock import run_lock
from lorasdk.runs.resuming import run_dir_for
from lorasdk.stopping import StopRequestedError, StopToken
from lorasdk.train_options import TrainOptions
from lorasdk.tuner_rows import TunerRows

if TYPE_CHECKING:
    from lorasdk.artifacts.passport import Passport


class TunerState:
    """The mutable half of a `FineTuner`; safe to use from several threads."""

    def __init__(
        self,
        resolved: Resolved,
        manager: Manager,
        *,
        handed_over: frozenset[str],
        trust_remote_code: bool,
        adapter_dir: Path | None,
        allow_base_mismatch: bool,
        rooms: Rooms,
    ) -> None:
        self.rooms = rooms
        self.resolved, self.manager = resolved, manager
        self.rows = TunerRows(resolved, handed_over=handed_over)
        self.trust_remote_code, self.allow_base_mismatch = trust_remote_code, allow_base_mismatch
        self.adapter_dir = adapter_dir
        self._bench: Bench | None = None
        self._loading = threading.RLock()
        self._training = threading.Lock()

    def emitter(self, on_event: OnEvent | None) -> Announcer:
        """What this tuner's work calls with each event."""
        return Announcer(self.manager, on_event)

    def bench(self, emit: Emit) -> Bench:
        """Tokenizer and files of the base model, opened at the first call."""
        with self._loading, self.rooms.quiet():
            if self._bench is None:
                self._bench = self.rooms.open(self.resolved, trust_remote_code=self.trust_remote_code, emit=emit)
            return self._bench

    def train(self, emit: Announcer, stop: StopToken, options: TrainOptions) -> TrainResult:
        """Train; afterwards the tuner answers with the new adapter.

        If it fails, the tuner answers with the adapter it had before, if any.
        """
        with self.exclusively():
            return self.train_exclusively(emit, stop, options)

    def train_exclusively(self, emit: Announcer, stop: StopToken, options: TrainOptions) -> TrainResult:
        """The same for a caller that has claimed the tuner with `exclusively`."""
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise TrainingError(several_processes(os.environ["WORLD_SIZE"]))
        with self.rooms.quiet(), self._closed_on_failure():
            began = time.perf_counter()
            splits = self._read_unless_stopped(emit, stop)
            run_dir = run_dir_for(self.resolved.recipe, options.resume)
            self.close()
            tell = emit.of_run(run_dir)
            with run_lock(run_dir, emit=tell), EventLog(run_dir / EVENTS) as log, announced(log, tell) as told:
                order = TrainingOrder(splits, run_dir, told, stop, began, options.allow_changes)
                result, base_changed = self.rooms.train(self.bench(told), order)
                if base_changed:
                    # The model in memory is not the base any more; the saved adapter fits the base loaded anew.
                    self.close()
                self.adapter_dir = result.adapter_dir
                if options.evaluate and "test" in splits and result.stopped != "requested":
                    result = replace(result, report=self._report_at_the_end(splits, told, stop))
                mark_ended(run_dir, result.stopped)
                told(RunFinished(result.adapter_dir, result.steps, time.perf_counter() - began))
            return result

    def _report_at_the_end(self, splits: Mapping[str, Examples], emit: Emit, stop: StopToken) -> EvalReport | None:
        """Base against tuned; whatever goes wrong is told, for the adapter is saved and its caller must get it."""
        try:
            return self._compared(splits, emit, stop)
        except LorasdkError as error:
            code = "evaluation.stopped" if error.code == "inference.stopped" else "evaluation.failed"
            emit(Notice(code, f"base and tuned were not compared: {error.problems[0].message}"))
            return None

    def compare(self, emit: Emit, stop: StopToken) -> EvalReport:
        """Base against tuned on the test rows.

        Raises:
            DataError: there are no test rows, or they are not those of the passport.
            PluginError: every evaluator failed.
            InferenceError: no adapter yet, a training is running, or the host stopped the work.
        """
        if self._training.locked():
            raise InferenceError(busy("evaluate"))
        from lorasdk.evaluation.comparing import no_score

        passport = self.passport()
        if passport is None:
            raise InferenceError(no_adapter())
        report = self._compared(self.rows.to_compare(passport, emit), emit, stop)
        failed = no_score(report)
        if failed is not None:
            raise failed
        return report

    def _compared(self, splits: Mapping[str, Examples], emit: Emit, stop: StopToken) -> EvalReport:
        from lorasdk.comparison import Comparison, announce, publish

        bench = self._bench_with_adapter(emit)
        assert self.adapter_dir is not None
        # What a fake model says is worth neither baselines nor pages.
        known = splits if self.rooms.real else {name: rows for name, rows in splits.items() if name == "test"}
        report = Comparison(self.resolved, bench, known, emit, stop).report()
        if self.rooms.real:
            publish(report, self.adapter_dir, emit)
        announce(report, self.adapter_dir, emit)
        return report

    def _read_unless_stopped(self, emit: Emit, stop: StopToken) -> dict[str, Examples]:
        """All splits, or none if the host stops the run meanwhile."""
        try:
            return self.rows.read(emit, between=stop.check)
        except StopRequestedError:
            return {}

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        """Let go of a model in an unknown state, and say in our words that memory ran out."""
        try:
            yield
        except MemoryError as error:
            self.close()
            raise ResourceError(out_of_memory(error)) from error
        except BaseException:
            self.close()
            raise

    def predictor(
        self,
        changes: Mapping[str, object],
        *,
        adapter: bool,
        emit: Emit,
        stop: StopToken | None = None,
        label: str = "",
    ) -> StreamingPredictor:
        """Something that answers with the adapter, or with the base alone.

        Raises:
            InferenceError: a bad setting, no adapter yet, or a training is running.
        """
        settings = generation_settings(self.resolved.recipe.generation, changes)
        if self._training.locked():
            raise InferenceError(busy("infer"))
        bench = self._bench_with_adapter(emit) if adapter or self.adapter_dir is not None else self.bench(emit)
        return bench.predictor(settings, adapter=adapter, label=label, emit=emit, stop=stop or StopToken())

    def _bench_with_adapter(self, emit: Emit) -> Bench:
        with self._loading:
            passport = self.passport()
            if passport is None or self.adapter_dir is None:
                raise InferenceError(no_adapter())
            bench = self.bench(emit)
            if not bench.has_adapter:
                allow = self.allow_base_mismatch
                bench.attach_saved(self.adapter_dir, passport, allow_base_mismatch=allow, emit=emit)
            return bench

    def merge(self, folder: Path, emit: Emit) -> Path:
        """Write base model and adapter as one model.

        Raises:
            InferenceError: there is no adapter yet, or a training is running.
        """
        if self._training.locked():
            raise InferenceError(busy("export"))
        if self.adapter_dir is None:
            raise InferenceError(no_adapter())
        # The adapter must prove to fit before it is merged; attaching it does that.
        self.predictor({}, adapter=True, emit=emit)
        with self._loading:
            return self.bench(emit).merge(self.adapter_dir, folder, emit)

    def passport(self) -> Passport | None:
        """The adapter's passport, if there is an adapter."""
        from lorasdk.artifacts.passport import read_passport

        return None if self.adapter_dir is None else read_passport(self.adapter_dir)

    def close(self) -> None:
        """Let go of the model's memory."""
        with self._loading:
            bench, self._bench = self._bench, None
        if bench is not None:
            bench.release()

    def adopt(self, adapter_dir: Path) -> None:
        """Answer with an adapter that was trained elsewhere; it is loaded when it is asked."""
        self.close()
        self.adapter_dir = adapter_dir

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Claim the tuner for one training.

        Raises:
            TrainingError: a training is running.
        """
        if not self._training.acquire(blocking=False):
            raise TrainingError(busy("train"))
        try:
            yield
        finally:
            self._training.release()
