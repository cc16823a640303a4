"""What a `FineTuner` keeps between calls: rows once read, the model once loaded, the adapter it answers with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.announcing import Announcer, OnEvent
from lorasdk.asking import AdapterChoice, Resident, Scheduler, SchedulerOrder, Voice
from lorasdk.contracts import Example
from lorasdk.data.examples import Examples
from lorasdk.errors import InferenceError, TrainingError
from lorasdk.eval_report import EvalReport
from lorasdk.events import Emit
from lorasdk.exports import ExportOptions, ExportOrder, ExportResult
from lorasdk.heavy_rooms import Bench, MixedPredictor, Rooms
from lorasdk.plugins import Manager
from lorasdk.refusals import busy, generation_settings, no_adapter, require_positive, scheduler_open
from lorasdk.resolving import Resolved
from lorasdk.stopping import StopToken
from lorasdk.tuner.adapter_set import AdapterSet
from lorasdk.tuner.rows import TunerRows

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
        self.adapters = AdapterSet(self._read_adapter)
        self._schedulers: list[Scheduler] = []
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
        report = self.compared(self.rows.to_compare(passport, emit), emit, stop)
        failed = no_score(report)
        if failed is not None:
            raise failed
        return report

    def compared(self, splits: Mapping[str, Examples], emit: Emit, stop: StopToken) -> EvalReport:
        """Base against tuned on rows at hand, written down and announced."""
        from lorasdk.tuner.comparison import Comparison, announce, publish

        bench = self._bench_with_adapter(emit)
        assert self.adapter_dir is not None
        # What a fake model says is worth neither baselines nor pages.
        known = splits if self.rooms.real else {name: rows for name, rows in splits.items() if name == "test"}
        report = Comparison(self.resolved, bench, known, emit, stop).report()
        if self.rooms.real:
            publish(report, self.adapter_dir, emit)
        announce(report, self.adapter_dir, emit)
        return report

    def predictor(
        self,
        changes: Mapping[str, object],
        *,
        adapter: bool,
        emit: Emit,
        stop: StopToken | None = None,
        label: str = "",
    ) -> MixedPredictor:
        """Something that answers with the adapter, or with the base alone.

        Raises:
            InferenceError: a bad setting, no adapter yet, or a training is running.
        """
        settings = generation_settings(self.resolved.recipe.generation, changes)
        if self._training.locked():
            raise InferenceError(busy("infer"))
        bench = self._ready_bench(emit, adapter=adapter or self.adapter_dir is not None)
        return bench.predictor(settings, adapter=adapter, label=label, emit=emit, stop=stop or StopToken())

    def _ready_bench(self, emit: Emit, *, adapter: bool) -> Bench:
        return self._bench_with_adapter(emit) if adapter else self.bench(emit)

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

    def export(
        self, folder: Path, options: ExportOptions, test_rows: Callable[[], Sequence[Example]], emit: Emit
    ) -> ExportResult:
        """Write the adapter in another form.

        Raises:
            InferenceError: there is no adapter yet, or a training is running.
        """
        if self._training.locked():
            raise InferenceError(busy("export"))
        if self.adapter_dir is None:
            raise InferenceError(no_adapter())
        attach = partial(self._bench_with_adapter, emit)
        order = ExportOrder(self.adapter_dir, folder, options, test_rows, attach, emit)
        with self.rooms.quiet():
            return self.rooms.export(self.bench(emit), order)

    def passport(self) -> Passport | None:
        """The adapter's passport, if there is an adapter."""
        from lorasdk.artifacts.passport import read_passport

        return None if self.adapter_dir is None else read_passport(self.adapter_dir)

    def _read_adapter(self, folder: Path, passport: Passport) -> Resident:
        """Read an adapter that is to lie beside the model.

        Raises:
            AdapterError: it does not fit.
            InferenceError: a training is running.
        """
        if self._training.locked():
            raise InferenceError(busy("load an adapter"))
        emit, allow = self.emitter(None), self.allow_base_mismatch
        with self._loading, self.rooms.quiet():
            return self.bench(emit).read_adapter(folder, passport, allow_base_mismatch=allow, emit=emit)

    def voice(self, adapter: AdapterChoice) -> Voice:
        """Who is meant.

        Raises:
            AdapterError: nothing has this name.
            InferenceError: the tuner has no adapter of its own.
        """
        if isinstance(adapter, str):
            return self.adapters.take(adapter)
        if adapter and self.adapter_dir is None:
            raise InferenceError(no_adapter())
        return adapter

    def open_scheduler(self, emit: Emit, *, max_rows: int, max_waiting: int) -> Scheduler:
        """Something that answers requests together as they arrive.

        Raises:
            InferenceError: a training is running, or a number is not positive.
        """
        require_positive(max_rows=max_rows, max_waiting=max_waiting)
        generation = self.resolved.recipe.generation
        order = SchedulerOrder(
            lambda ask: generation_settings(generation, ask.generation), self.voice, max_rows, max_waiting
        )
        if self._training.locked():
            raise InferenceError(busy("answer"))
        with self._loading, self.rooms.quiet():
            bench = self._ready_bench(emit, adapter=self.adapter_dir is not None)
            scheduler = bench.schedule(order, emit)
        self._schedulers = [*self._open_schedulers(), scheduler]
        return scheduler

    def close(self) -> None:
        """End what is going on, and let go of all memory."""
        schedulers, self._schedulers = self._schedulers, []
        for scheduler in schedulers:
            scheduler.close()
        self.adapters.release()
        self.let_go()

    def let_go(self) -> None:
        """Let go of the model's memory."""
        with self._loading:
            bench, self._bench = self._bench, None
        if bench is not None:
            bench.release()

    def adopt(self, adapter_dir: Path) -> None:
        """Answer with an adapter that was trained elsewhere; it is loaded when it is asked."""
        self.let_go()
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
            self._require_no_scheduler()
            yield
        finally:
            self._training.release()

    def _require_no_scheduler(self) -> None:
        if self._open_schedulers():
            raise TrainingError(scheduler_open())

    def _open_schedulers(self) -> list[Scheduler]:
        return [scheduler for scheduler in self._schedulers if scheduler.open]
