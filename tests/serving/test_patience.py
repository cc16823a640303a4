from lorasdk.serving.patience import LONGEST_SECONDS, UNKNOWN_SECONDS, Patience


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def busy(clock: Clock, every: float) -> Patience:
    patience = Patience(clock)
    for _ in range(10):
        clock.now += every
        patience.ended()
    return patience


def test_each_who_is_sent_away_is_promised_an_end_of_its_own():
    patience = busy(Clock(), 0.5)
    assert [round(patience.seconds(), 3) for _ in range(3)] == [0.5, 1.0, 1.5]


def test_promises_that_are_past_bind_nobody():
    clock = Clock()
    patience = busy(clock, 0.5)
    patience.seconds()
    clock.now += 0.5
    assert round(patience.seconds(), 3) == 0.5


def test_when_answers_stop_ending_promises_become_longer():
    clock = Clock()
    patience = busy(clock, 0.5)
    clock.now += 100
    assert patience.seconds() == 10


def test_before_anything_is_known_a_second_is_said_and_never_more_than_a_minute():
    patience = Patience(Clock())
    assert patience.seconds() == UNKNOWN_SECONDS
    assert max(patience.seconds() for _ in range(200)) == LONGEST_SECONDS
