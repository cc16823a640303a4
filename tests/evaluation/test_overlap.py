from lorasdk.contracts import Example, Message
from lorasdk.eval_report import Overlap
from lorasdk.evaluation.overlap import overlap


def row(asked: str, said: str = "a") -> Example:
    return Example(1, (Message("user", asked), Message("assistant", said)))


def test_rows_that_ask_the_same_are_counted_whatever_their_answers():
    assert overlap([row("x", "b"), row("y"), row("x")], iter([row("x"), row("z")])) == Overlap(2, 2 / 3)


def test_rows_that_only_answer_the_same_are_not_counted():
    assert overlap([row("x")], [row("y")]) == Overlap(0, 0)


def test_plain_text_is_compared_whole():
    assert overlap([Example(1, text="x"), Example(2, text="x y")], [Example(1, text="x")]) == Overlap(1, 1 / 2)
