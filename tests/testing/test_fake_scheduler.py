import threading

import pytest

from lorasdk.asking import Ask, Piece
from lorasdk.contracts import Message
from lorasdk.errors import InferenceError
from lorasdk.results import Completion
from lorasdk.testing.fake_scheduler import FakeScheduler


class Ear:
    """Hears one request to its end."""

    def __init__(self) -> None:
        self.updates: list[object] = []
        self._ended = threading.Event()

    def __call__(self, update: object) -> None:
        self.updates.append(update)
        if not isinstance(update, Piece):
            self._ended.set()

    def end(self) -> object:
        assert self._ended.wait(5)
        return self.updates[-1]


def ask(**generation) -> Ask:
    return Ask((Message("user", "how many boats"),), generation=generation, logprobs=1)


def test_pieces_come_in_order_and_then_the_answer():
    ear = Ear()
    scheduler = FakeScheduler(lambda _ask: "two  boats and\none more")
    assert scheduler.submit(ask(), ear).prompt_tokens == 3
    answer = ear.end()
    assert answer == Completion("two  boats and\none more", 3, 6, "stop")
    pieces = ear.updates[:-1]
    assert "".join(piece.text for piece in pieces) == answer.text
    assert all(piece.tokens[0].likeliest[0].text == piece.text for piece in pieces)
    scheduler.close()


def test_stops_and_lengths_end_an_answer():
    scheduler = FakeScheduler(lambda _ask: "one two three")
    stopped, cut = Ear(), Ear()
    scheduler.submit(ask(stop=(" three",)), stopped)
    scheduler.submit(ask(max_new_tokens=2), cut)
    assert stopped.end() == Completion("one two", 3, 3, "stop")
    assert cut.end() == Completion("one two", 3, 2, "length")
    scheduler.close()


def test_settings_are_checked_as_always():
    with pytest.raises(InferenceError):
        FakeScheduler(lambda _ask: "").submit(ask(temperature=-1), Ear())


def test_more_than_there_is_room_for_is_refused():
    scheduler = FakeScheduler(lambda _ask: "w " * 99, max_rows=1, max_waiting=1, seconds_per_word=0.05)
    tickets = [scheduler.submit(ask(), Ear()) for _ in range(2)]
    with pytest.raises(InferenceError) as caught:
        scheduler.submit(ask(), Ear())
    assert caught.value.code == "inference.queue-full"
    for ticket in tickets:
        ticket.cancel()
    scheduler.close()


def test_what_is_cancelled_says_so():
    ear = Ear()
    scheduler = FakeScheduler(lambda _ask: "w " * 9999, seconds_per_word=0.001)
    scheduler.submit(ask(max_new_tokens=9000), ear).cancel()
    assert ear.end().code == "inference.stopped"
    scheduler.close()
    assert (scheduler.load.cancelled, scheduler.load.finished) == (1, 0)


def test_closing_finishes_or_cancels_and_takes_nothing_in():
    drained, cancelled = Ear(), Ear()
    first = FakeScheduler(lambda _ask: "a b c", seconds_per_word=0.01)
    first.submit(ask(), drained)
    first.close(drain_seconds=5)
    assert isinstance(drained.end(), Completion)
    second = FakeScheduler(lambda _ask: "w " * 999, seconds_per_word=0.01)
    second.submit(ask(), cancelled)
    second.close()
    assert cancelled.end().code == "inference.stopped"
    assert (first.open, second.open) == (False, False)
    with pytest.raises(InferenceError) as caught:
        second.submit(ask(), Ear())
    assert caught.value.code == "inference.closed"
