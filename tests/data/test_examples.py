import pytest
from row_reading import CHAT, read, refused

from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.errors import DataError
from lorasdk.recipe.schema import DataSource


def test_the_hash_is_of_what_rows_say_and_not_of_their_format():
    assert read({"instruction": "q", "output": "a"}).sha256 == read({"messages": CHAT}).sha256
    assert read({"instruction": "q", "output": "b"}).sha256 != read({"messages": CHAT}).sha256


def test_half_a_surrogate_pair_is_a_bad_row():
    assert refused({"instruction": "cut \ud83d", "output": "a"}).code == "data.encoding"
    assert refused({"messages": [CHAT[0], {**CHAT[1], "content": "cut \ud83d"}]}).code == "data.encoding"


@pytest.mark.parametrize("place", ["messages", "turn", "role", "content", "name", "tool_calls"])
def test_nesting_beyond_all_limits_is_a_bad_row(place: str):
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    value = {"messages": deep, "turn": [deep]}.get(place, [{**CHAT[0], place: [{"a": deep}]}])
    assert refused({"messages": value}).code.startswith("data.")


def test_max_rows_stops_reading_an_endless_loader():
    def endless():
        while True:
            yield {"messages": CHAT}

    examples = read_examples(endless(), source=DataSource(max_rows=3), origin="train", bad=BadRows("error"))
    assert len(examples.items) == 3


def test_D29_messages_that_are_text_name_row_got_and_want():
    problem = refused({"messages": CHAT}, {"messages": "hello"}).problems[0]
    assert (problem.code, problem.place) == ("data.not-a-conversation", "train row 2")
    assert "str" in problem.message
    assert '"role": "user"' in problem.allowed


@pytest.mark.parametrize("answer", [None, "", "  ", float("nan")])
def test_D30_empty_answers_are_counted_or_skipped(answer: object):
    good, empty = {"instruction": "q", "output": "a"}, {"instruction": "q", "output": answer}
    rows = [good, *[empty] * 12]
    error = refused(*rows)
    assert {problem.code for problem in error.problems} == {"data.empty-answer"}
    assert (len(error.problems), "12 problems" in str(error), "and 2 more" in str(error)) == (12, True, True)
    bad = BadRows("skip")
    examples = read_examples(rows, source=DataSource(), origin="train", bad=bad)
    assert (len(examples.items), examples.skipped) == (1, 12)
    assert bad.summary().startswith("12 row(s) skipped (12× data.empty-answer): train row 2, train row 3")


@pytest.mark.parametrize(
    ("turns", "code", "words"),
    [
        ([{"role": "boss", "content": "q"}, CHAT[1]], "data.unknown-role", "turn 1"),
        ([CHAT[0], CHAT[1], CHAT[1]], "data.role-order", "turns 2 and 3"),
        ([CHAT[0], CHAT[0], CHAT[1]], "data.role-order", "turns 1 and 2"),
        ([CHAT[0]], "data.no-answer", "no assistant turn"),
        ([CHAT[1]], "data.role-order", "turn 1"),
        ([CHAT[0], {"role": "system", "content": "s"}, CHAT[1]], "data.role-order", "turn 2"),
        ([CHAT[0], {"role": "assistant", "content": 5}], "data.no-text", "turn 2"),
        ([CHAT[0], {"role": "assistant", "content": [{"type": "text"}]}], "data.no-text", "turn 2"),
        ([CHAT[0], {"role": "tool", "content": "4"}, CHAT[1]], "data.role-order", "turn 2"),
        (["hello"], "data.bad-turn", "turn 1"),
        ([CHAT[0], {"role": "assistant", "content": ""}], "data.empty-answer", "turn 2"),
        ([CHAT[0], {"role": "assistant", "content": None}], "data.empty-answer", "turn 2"),
    ],
)
def test_D31_a_conversation_that_makes_no_sense_names_its_turn(turns: list[object], code: str, words: str):
    problem = refused({"messages": CHAT}, {"messages": turns}).problems[0]
    assert (problem.code, problem.place) == (code, "train row 2")
    assert words in problem.message


def test_D31_an_unknown_role_lists_the_allowed_ones():
    problem = refused({"messages": [{"role": "boss", "content": "q"}]}).problems[0]
    assert "user" in problem.allowed
    assert "assistant" in problem.allowed


def test_D42_a_loader_that_gives_something_else_is_named_with_the_row():
    problem = refused({"messages": CHAT}, "row?").problems[0]
    assert (problem.code, problem.place) == ("data.row-not-an-object", "train row 2")


def test_D42_a_loader_that_raises_is_named_with_the_row():
    def broken():
        yield {"messages": CHAT}
        raise OSError("the line is dead")

    with pytest.raises(DataError) as caught:
        read_examples(broken(), source=DataSource(), origin="train (crm)", bad=BadRows("error"))
    problem = caught.value.problems[0]
    assert (problem.code, problem.place) == ("data.loader-failed", "train (crm) row 2")
    assert "the line is dead" in problem.message


def test_D42_a_loader_that_gives_no_rows_at_all_is_named():
    with pytest.raises(DataError) as caught:
        read_examples(None, source=DataSource(), origin="train (crm)", bad=BadRows("error"))  # type: ignore[arg-type]
    assert caught.value.problems[0].place == "train (crm) row 1"


def test_faulty_rows_before_the_first_good_one_explain_an_unknown_format():
    problem = refused("row?", {"nothing": "known"}).problems[0]
    assert (problem.code, problem.place) == ("data.row-not-an-object", "train row 1")


def test_nothing_left_after_skipping_is_an_error():
    with pytest.raises(DataError) as caught:
        read({"instruction": "q", "output": ""}, policy="skip")
    assert caught.value.code == "data.no-rows"


def test_faulty_rows_end_the_reading_once_they_are_too_many():
    taken = []

    def rows():
        for number in range(5000):
            taken.append(number)
            yield {"instruction": "q", "output": ""}

    with pytest.raises(DataError):
        read_examples(rows(), source=DataSource(), origin="train", bad=BadRows("error"))
    assert len(taken) < 2000
