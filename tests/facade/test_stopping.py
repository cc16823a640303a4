import os
import signal
import threading

import pytest

from lorasdk import StopToken, TrainingError
from lorasdk.stopping import stop_on_signals


def test_a_token_keeps_what_was_learnt_unless_told_otherwise():
    kept, dropped = StopToken(), StopToken()
    kept.stop()
    dropped.stop(save=False)
    assert (kept.stopped, kept.saving) == (True, True)
    assert (dropped.stopped, dropped.saving) == (True, False)


def test_a_token_that_was_told_not_to_save_stays_so():
    token = StopToken()
    token.stop()
    token.stop(save=False)
    token.stop(save=True)
    assert not token.saving


def test_a_rule_of_the_host_is_asked_until_it_says_stop():
    answers = iter([False, True, False])
    token = StopToken(when=lambda: next(answers))
    assert [token.stopped for _ in range(4)] == [False, True, True, True]
    assert token.saving
    assert next(answers) is False


def test_a_rule_is_not_asked_after_a_stop():
    token = StopToken(when=lambda: pytest.fail("asked"))
    token.stop()
    assert token.stopped


def test_a_rule_that_fails_is_logged_once_and_asked_again(caplog):
    answers = iter([ZeroDivisionError, ZeroDivisionError, None])

    def when() -> bool:
        failure = next(answers)
        if failure is not None:
            raise failure
        return True

    token = StopToken(when=when)
    assert [token.stopped for _ in range(3)] == [False, False, True]
    assert len(caplog.records) == 1


def test_X61_the_first_signal_stops_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    heard = []
    with stop_on_signals(heard=heard.append) as token:
        assert not token.stopped
        signal.raise_signal(signal.SIGINT)
        assert (token.stopped, token.saving, heard) == (True, True, [signal.SIGINT])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_X60_a_second_sigterm_exits_at_once():
    with stop_on_signals() as token:
        os.kill(os.getpid(), signal.SIGTERM)
        assert token.stopped
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143


def test_handlers_are_put_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), stop_on_signals((signal.SIGTERM,)):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_X80_outside_the_main_thread_signals_are_refused_in_words():
    caught = []

    def work() -> None:
        try:
            with stop_on_signals():
                caught.append("entered")
        except TrainingError as error:
            caught.append(error.code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught == ["stop.not-in-main-thread"]


def test_a_handler_that_could_not_be_put_back_is_not_replaced(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _number: None)
    with pytest.raises(TrainingError) as caught, stop_on_signals((signal.SIGTERM,)):
        pass
    assert (caught.value.code, caught.value.problems[0].found) == ("stop.foreign-handler", "SIGTERM")
