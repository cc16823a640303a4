import asyncio
import atexit
import gc
import threading
import time
import weakref
from contextlib import ExitStack
from dataclasses import replace

import pytest

from lorasdk import Notice, RunStarted, StopToken, TrainingError, TrainResult
from lorasdk.background.chronicle import Chronicle
from lorasdk.background.run import begin
from lorasdk.background.run_events import RunEvents
from lorasdk.errors import Problem

FIRST, SECOND, THIRD = (Notice("a.b", text) for text in ("first", "second", "third"))


class Work:
    """Announces three events, the last two when they are let through, and ends as it is told."""

    def __init__(self, outcome: object, observer=None) -> None:
        self.chronicle, self.stop = Chronicle(observer), StopToken()
        self.outcome, self.more = outcome, threading.Event()

    def __call__(self):
        self.chronicle.announce(FIRST)
        assert self.more.wait(10)
        self.chronicle.announce(SECOND)
        self.chronicle.announce(THIRD)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def begin(self):
        return begin(self, ExitStack(), chronicle=self.chronicle, stop=self.stop)


@pytest.fixture
def result(tmp_path):
    return TrainResult(tmp_path, tmp_path, 1, 1, "finished", (), (), 1, 2, 3, 4.0, 5)


def test_a_sync_iterator_gives_all_events_in_order_and_ends_with_the_run(result):
    work = Work(result)
    run = work.begin()
    events = run.events()
    assert next(events) == FIRST
    work.more.set()
    assert list(events) == [SECOND, THIRD]
    assert list(run.events()) == [FIRST, SECOND, THIRD]
    assert run.result() is result


def test_an_async_iterator_gives_all_events_without_blocking_the_loop(result):
    work = Work(result)
    run = work.begin()

    async def read() -> list:
        return [event async for event in run.events()]

    async def main() -> list:
        readers = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0.02)  # runs although all readers wait
        work.more.set()
        return await asyncio.gather(*readers, read())

    assert asyncio.run(main()) == [[FIRST, SECOND, THIRD]] * 4


def test_an_async_reader_that_catches_up_lets_others_work(result):
    work = Work(result)
    work.more.set()
    run = work.begin()
    assert run.wait(10)

    async def main() -> list[str]:
        order: list[str] = []

        async def read() -> None:
            order.extend([event.message async for event in run.events()])

        async def other() -> None:
            order.append("other")

        await asyncio.gather(read(), other())
        return order

    assert asyncio.run(main()) == ["other", "first", "second", "third"]


def test_an_async_reader_that_gives_up_leaves_nothing_behind(result):
    work = Work(result)
    run = work.begin()

    async def main() -> None:
        events = run.events()
        assert await anext(events) == FIRST
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.02)

    asyncio.run(main())
    assert work.chronicle._wakers == []
    work.more.set()
    assert run.wait(10)


def test_waiting_and_results_have_time_limits(result):
    work = Work(result)
    run = work.begin()
    assert not run.wait(0.01)
    with pytest.raises(TimeoutError):
        run.result(0.01)
    work.more.set()
    assert run.wait(10)
    assert run.result(0) is result


def test_a_failure_is_raised_to_everybody_who_asks():
    work = Work(TrainingError(Problem("training.broken", "broken on purpose")))
    work.more.set()
    run = work.begin()
    for _ in range(2):
        with pytest.raises(TrainingError) as caught:
            run.result(10)
        assert caught.value.code == "training.broken"
    assert list(run.events()) == [FIRST, SECOND, THIRD]


def test_the_status_follows_the_run(result):
    work = Work(replace(result, stopped="requested"))
    run = work.begin()
    assert run.status == "running"
    run.stop()
    assert (run.status, work.stop.saving) == ("stopping", True)
    work.more.set()
    assert run.wait(10)
    assert run.status == "stopped"


@pytest.mark.parametrize(
    ("code", "status"), [("run.abandoned", "stopped"), ("training.loss-not-finite", "failed"), (None, "finished")]
)
def test_the_status_tells_an_abandoned_run_from_a_failed_one(result, code, status):
    work = Work(TrainingError(Problem(code, "why")) if code else result)
    work.more.set()
    run = work.begin()
    assert run.wait(10)
    assert run.status == status


def test_a_stop_without_saving_reaches_the_token(result):
    work = Work(result)
    run = work.begin()
    run.stop(save=False)
    assert (work.stop.stopped, work.stop.saving) == (True, False)
    work.more.set()
    assert run.wait(10)


def test_the_folder_is_known_once_the_run_has_one(tmp_path, result):
    work = Work(result)
    run = work.begin()
    assert run.run_dir is None
    work.chronicle.announce(RunStarted(tmp_path, "tiny", "fingerprint"))
    assert run.run_dir == tmp_path
    work.more.set()
    assert run.wait(10)


def test_an_observer_that_raises_is_logged_and_the_run_goes_on(result, caplog):
    def observer(_event):
        raise ZeroDivisionError

    work = Work(result, observer)
    work.more.set()
    assert work.begin().result(10) is result
    assert len(caplog.records) == 3


def test_what_is_held_for_the_run_is_let_go_before_its_end_is_seen(result):
    order, held = [], ExitStack()
    held.callback(lambda: (time.sleep(0.02), order.append("released")))
    run = begin(lambda: result, held, chronicle=(chronicle := Chronicle()), stop=StopToken())
    assert list(RunEvents(chronicle)) == []
    assert order == ["released"]
    assert run.wait(10)


def test_a_kept_handle_of_a_failed_run_keeps_nothing_of_its_work():
    class Model:
        pass

    kept = []

    def work():
        model = Model()
        kept.append(weakref.ref(model))
        raise TrainingError(Problem("training.broken", "broken on purpose"))

    run = begin(work, ExitStack(), chronicle=Chronicle(), stop=StopToken())
    assert run.wait(10)
    gc.collect()
    assert kept[0]() is None
    assert run.status == "failed"


@pytest.fixture
def duties(monkeypatch) -> list:
    """What is to be done when the program ends."""
    kept: list = []
    monkeypatch.setattr(atexit, "register", kept.append)
    monkeypatch.setattr(atexit, "unregister", kept.remove)
    return kept


def test_a_run_leaves_no_thread_and_no_duty_at_exit(result, duties):
    threads = set(threading.enumerate())
    work = Work(result)
    run = work.begin()
    assert len(duties) == 1
    work.more.set()
    run.result(10)
    assert (set(threading.enumerate()), duties) == (threads, [])


def test_a_program_that_ends_asks_its_run_to_save_and_waits(result, duties):
    work = Work(result)
    run = work.begin()
    threading.Timer(0.02, work.more.set).start()
    duties[0]()
    assert (work.stop.stopped, work.stop.saving, run.status) == (True, True, "finished")


def test_a_thread_that_cannot_start_holds_nothing(monkeypatch, result, duties):
    def refuse(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    held, released = ExitStack(), []
    held.callback(lambda: released.append(True))
    with pytest.raises(RuntimeError):
        begin(lambda: result, held, chronicle=Chronicle(), stop=StopToken())
    assert (released, duties) == ([True], [])
