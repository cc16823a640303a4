import threading
import time

import pytest

from lorasdk.inference.fair_lock import FairLock


def waiting(lock: FairLock, count: int) -> None:
    while len(lock._waiting) < count:
        time.sleep(0.001)


def test_turns_come_in_the_order_in_which_they_were_asked_for():
    lock, order = FairLock(), []

    def take(number: int) -> None:
        with lock:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with lock:
        for number, thread in enumerate(threads, start=1):
            thread.start()
            waiting(lock, number)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_whoever_lets_go_and_asks_again_comes_after_those_who_wait():
    lock, order = FairLock(), []

    def other() -> None:
        with lock:
            order.append("other")

    thread = threading.Thread(target=other)
    with lock:
        thread.start()
        waiting(lock, 1)
    with lock:
        order.append("again")
    thread.join()
    assert order == ["other", "again"]


def test_one_at_a_time():
    lock, inside, most = FairLock(), [], []

    def work() -> None:
        for _ in range(50):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


@pytest.mark.parametrize("handed", [False, True])
def test_who_is_interrupted_while_waiting_keeps_nobody_out(handed: bool, monkeypatch):
    lock = FairLock()

    class Interrupted:
        def __init__(self) -> None:
            self.asked = 0

        def acquire(self) -> None:
            self.asked += 1
            if self.asked == 2:
                if handed:
                    lock.__exit__()
                raise KeyboardInterrupt

        def release(self) -> None:
            pass

    with monkeypatch.context() as patch:
        lock.__enter__()
        patch.setattr("lorasdk.inference.fair_lock.threading.Lock", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock.__enter__()
    if not handed:
        lock.__exit__()
    assert not lock._held
    assert not lock._waiting
