"""What a `FineTuner` keeps between calls: rows once read, the model once loaded, the adapter it answers with."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lorasdk.announcing import Announcer, OnEvent
from lorasdk.artifacts.passport import Passport, read_passport
from lorasdk.contracts import Example
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import check_unchanged
from lorasdk.data.sources import read_splits
from lorasdk.errors import DataError, InferenceError, ResourceError, TrainingError
from lorasdk.events import Emit
from lorasdk.heavy_rooms import Bench, Rooms, StreamingPredictor, TrainingOrder
from lorasdk.plugins import Manager
from lorasdk.refusals import busy, generation_settings, no_adapter, no_test_rows, out_of_memory, several_processes
from lorasdk.resolving import Resolved
from lorasdk.results import TrainResult
from lorasdk.runs.event_log import EVENTS, EventLog, announced
from lorasdk.runs.lock import run_lock
from lorasdk.runs.resuming import run_dir_for
from lorasdk.stopping import StopRequestedError, StopToken
from lorasdk.train_options import TrainOptions


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
        self.handed_over = handed_over
        self.trust_remote_code, self.allow_base_mismatch = trust_remote_code, allow_base_mismatch
        self.adapter_dir = adapter_dir
        self._bench: Bench | None = None
        self._examples: dict[str, Examples] | None = None
        self._loading = threading.RLock()
        self._training = threading.Lock()

    def emitter(self, on_event: OnEvent | None) -> Announcer:
        """What this tuner's work calls with each event."""
        return Announcer(self.manager, on_event)

    def read(self, emit: Emit, *, between: Callable[[], None] = lambda: None) -> dict[str, Examples]:
        """All splits, read at the first call; `between` is called before each example and may raise."""
        with self._loading:
            if self._examples is None:
                recipe = self.resolved.recipe
                self._examples = read_splits(
                    self.resolved.sources,
                    recipe.data,
                    seed=recipe.training.seed,
                    emit=emit,
                    between=between,
                    max_overlap=recipe.evaluation.max_overlap,
                )
            return self._examples

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
            return result

    def _read_unless_stopped(self, emit: Emit, stop: StopToken) -> dict[str, Examples]:
        """All splits, or none if the host stops the run meanwhile."""
        try:
            return self.read(emit, between=stop.check)
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
        if adapter and self.adapter_dir is None:
            raise InferenceError(no_adapter())
        with self._loading:
            bench = self.bench(emit)
            passport = self.passport()
            if passport is not None and self.adapter_dir is not None and not bench.has_adapter:
                allow = self.allow_base_mismatch
                bench.attach_saved(self.adapter_dir, passport, allow_base_mismatch=allow, emit=emit)
            return bench.predictor(settings, adapter=adapter, label=label, emit=emit, stop=stop or StopToken())

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

    def test_examples(self, emit: Emit) -> tuple[Example, ...]:
        """The rows that base and adapter are compared on.

        Raises:
            DataError: there are none, or they are not those of the passport.
        """
        splits = self.read(emit)
        if "test" not in splits:
            raise DataError(no_test_rows())
        passport = self.passport()
        if passport is not None and "test" in passport.data and "test" not in self.handed_over:
            check_unchanged("test", expected=passport.data["test"].sha256, actual=splits["test"].sha256)
        return tuple(splits["test"].items[: self.resolved.recipe.evaluation.max_rows])

    def passport(self) -> Passport | None:
        """The adapter's passport, if there is an adapter."""
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
