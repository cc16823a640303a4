"""One training of a tuner, from its rows to its report: what `train` and a run in the background do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from lorasdk.announcing import Announcer
from lorasdk.data.examples import Examples
from lorasdk.errors import LorasdkError, ResourceError, TrainingError
from lorasdk.eval_report import EvalReport
from lorasdk.events import Emit, Notice, RunFinished
from lorasdk.heavy_rooms import TrainingOrder
from lorasdk.refusals import out_of_memory, several_processes
from lorasdk.results import TrainResult
from lorasdk.runs.event_log import EVENTS, EventLog, announced
from lorasdk.runs.folder import mark_ended
from lorasdk.runs.lock import run_lock
from lorasdk.runs.resuming import run_dir_for
from lorasdk.stopping import StopRequestedError, StopToken
from lorasdk.train_options import TrainOptions
from lorasdk.tuner.state import TunerState


def train(state: TunerState, emit: Announcer, stop: StopToken, options: TrainOptions) -> TrainResult:
    """Train; afterwards the tuner answers with the new adapter.

    If it fails, the tuner answers with the adapter it had before, if any.
    """
    with state.exclusively():
        return train_exclusively(state, emit, stop, options)


def train_exclusively(state: TunerState, emit: Announcer, stop: StopToken, options: TrainOptions) -> TrainResult:
    """The same for a caller that has claimed the tuner with `exclusively`."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise TrainingError(several_processes(os.environ["WORLD_SIZE"]))
    with state.rooms.quiet(), _closed_on_failure(state):
        began = time.perf_counter()
        splits = _read_unless_stopped(state, emit, stop)
        run_dir = run_dir_for(state.resolved.recipe, options.resume)
        state.let_go()
        tell = emit.of_run(run_dir)
        with run_lock(run_dir, emit=tell), EventLog(run_dir / EVENTS) as log, announced(log, tell) as told:
            order = TrainingOrder(splits, run_dir, told, stop, began, options.allow_changes)
            result, base_changed = state.rooms.train(state.bench(told), order)
            if base_changed:
                # The model in memory is not the base any more; the saved adapter fits the base loaded anew.
                state.let_go()
            state.adapter_dir = result.adapter_dir
            if options.evaluate and "test" in splits and result.stopped != "requested":
                result = replace(result, report=_report_at_the_end(state, splits, told, stop))
            mark_ended(run_dir, result.stopped)
            told(RunFinished(result.adapter_dir, result.steps, time.perf_counter() - began))
        return result


def _report_at_the_end(
    state: TunerState, splits: Mapping[str, Examples], emit: Emit, stop: StopToken
) -> EvalReport | None:
    """Base against tuned; whatever goes wrong is told, for the adapter is saved and its caller must get it."""
    try:
        return state.compared(splits, emit, stop)
    except LorasdkError as error:
        code = "evaluation.stopped" if error.code == "inference.stopped" else "evaluation.failed"
        emit(Notice(code, f"base and tuned were not compared: {error.problems[0].message}"))
        return None


def _read_unless_stopped(state: TunerState, emit: Emit, stop: StopToken) -> dict[str, Examples]:
    """All splits, or none if the host stops the run meanwhile."""
    try:
        return state.rows.read(emit, between=stop.check)
    except StopRequestedError:
        return {}


@contextmanager
def _closed_on_failure(state: TunerState) -> Iterator[None]:
    """Let go of a model in an unknown state, and say in our words that memory ran out."""
    try:
        yield
    except MemoryError as error:
        state.let_go()
        raise ResourceError(out_of_memory(error)) from error
    except BaseException:
        state.let_go()
        raise
