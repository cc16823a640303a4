"""Starts a training in a thread or in a process of its own, and gives the handle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal, TypeAlias

from lorasdk.announcing import OnEvent
from lorasdk.background.chronicle import Chronicle
from lorasdk.background.refusals import not_started, unknown_isolation
from lorasdk.background.run import Run, begin
from lorasdk.errors import ResourceError, TrainingError
from lorasdk.results import TrainResult
from lorasdk.stopping import StopToken
from lorasdk.train_options import TrainOptions
from lorasdk.tuner.state import TunerState
from lorasdk.tuner.training import train_exclusively

Isolation: TypeAlias = Literal["thread", "process"]


def start_run(
    state: TunerState, *, isolation: Isolation, on_event: OnEvent | None, stop: StopToken, options: TrainOptions
) -> Run:
    """Claim the tuner and begin; everything that can be refused at once is raised here.

    Raises:
        TrainingError: a training of this tuner is running, or there is no such isolation.
        PluginError: a plugin that cannot go into another process.
        DataError: a row that cannot.
        ResourceError: the system gives no process.
    """
    chronicle = Chronicle(on_event)
    with ExitStack() as stack:
        stack.enter_context(state.exclusively())
        work = _works(isolation)(state, chronicle, stop, options, stack)
        held = stack.pop_all()
    return begin(work, held, chronicle=chronicle, stop=stop)


Work: TypeAlias = Callable[[], TrainResult]


def _works(isolation: str) -> Callable[[TunerState, Chronicle, StopToken, TrainOptions, ExitStack], Work]:
    match isolation:
        case "thread":
            return _in_this_process
        case "process":
            return _in_another_process
    raise TrainingError(unknown_isolation(isolation))


def _in_this_process(
    state: TunerState, chronicle: Chronicle, stop: StopToken, options: TrainOptions, _held: ExitStack
) -> Work:
    return lambda: train_exclusively(state, state.emitter(chronicle.announce), stop, options)


def _in_another_process(
    state: TunerState, chronicle: Chronicle, stop: StopToken, options: TrainOptions, held: ExitStack
) -> Work:
    from lorasdk.background.child_process import ChildProcess
    from lorasdk.background.job import Job, write_rows

    Job.of(state, {}, options)  # plugins are refused before rows are written
    try:
        file, counts = write_rows(state)
    except OSError as error:
        raise ResourceError(not_started(error)) from error
    child = held.enter_context(ChildProcess(Job.of(state, counts, options).line(), file))
    state.let_go()

    def work() -> TrainResult:
        result = child.follow(chronicle, stop)
        state.adopt(result.adapter_dir)
        return result

    return work
