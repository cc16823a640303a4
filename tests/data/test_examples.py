from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorasdk.contracts import Message
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.data.formats import FORMATS
from lorasdk.errors import DataError, LorasdkError
from lorasdk.recipe.schema import DataSource

QUESTION, ANSWER = Message("user", "q"), Message("assistant", "a")
CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def read(*rows: object, policy: str = "error", **source: object):
    return read_examples(
        rows, source=DataSource.model_validate(source), origin="train", bad=BadRows(policy)  # type: ignore[arg-type]
    )  # fmt: skip


def refused(*rows: object, **source: object):
    with pytest.raises(DataError) as caught:
        read(*rows, **source)
    return caught.value


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "q", "output": "a"},
        {"instruction": "q", "input": "", "output": "a"},
        {"instruction": "q", "input": None, "output": "a"},
        {"instruction": "q", "input": " ", "output": "a"},
        {"instruction": "q", "input": float("nan"), "output": "a"},
        {"messages": CHAT},
        {"messages": [{**CHAT[0], "content": [{"type": "text", "text": "q"}]}, CHAT[1]]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"prompt": "q", "completion": "a"},
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        {"prompt": CHAT[:1], "completion": "a"},
        {"prompt": "q", "completion": CHAT[1:]},
    ],
)
def test_every_format_is_recognised_and_says_the_same(row: Mapping[str, object]):
    (example,) = read(row).items
    assert example.messages == (QUESTION, ANSWER)


def test_the_hash_is_of_what_rows_say_and_not_of_their_format():
    assert read({"instruction": "q", "output": "a"}).sha256 == read({"messages": CHAT}).sha256
    assert read({"instruction": "q", "output": "b"}).sha256 != read({"messages": CHAT}).sha256


def test_alpaca_input_follows_the_instruction():
    assert read({"instruction": "do", "input": "this", "output": "a"}).items[0].prompt[0].content == "do\n\nthis"


def test_text_rows_have_no_turns():
    assert read({"text": "a story"}).items[0].text == "a story"


def test_system_turns_tools_and_calls_are_kept():
    call = {"function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "developer", "content": "s"},
        CHAT[0],
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    turns += [{"role": "tool", "content": "4", "tool_call_id": "1"}, CHAT[1]]
    (example,) = read({"messages": turns, "tools": [{"type": "function"}]}).items
    assert [message.role for message in example.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert example.messages[2].tool_calls == (call,)
    assert (example.messages[3].tool_call_id, example.tools) == ("1", ({"type": "function"},))


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "q", "output": "a"},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"prompt": "q", "completion": "a"},
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
    ],
)
def test_a_system_column_becomes_the_first_turn(row: Mapping[str, object]):
    assert read({**row, "system": "s"}).items[0].messages == (Message("system", "s"), QUESTION, ANSWER)


def test_tools_may_be_the_json_text_that_tables_store():
    assert read({"messages": CHAT, "tools": '[{"type": "function"}]'}).items[0].tools == ({"type": "function"},)


@pytest.mark.parametrize("tools", ["a hammer", {"type": "function"}, ["hammer"], 5])
def test_tools_of_another_kind_are_refused_instead_of_dropped(tools: object):
    assert refused({"messages": CHAT, "tools": tools}).code == "data.bad-tools"
    calling = {"role": "assistant", "content": "", "tool_calls": tools}
    assert refused({"messages": [CHAT[0], calling]}).code == "data.bad-tools"


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


def test_a_misspelt_key_of_the_mapping_is_refused():
    problem = refused({"instruction": "q", "output": "a", "more": "x"}, columns={"inptu": "more"}).problems[0]
    assert (problem.code, "inptu" in problem.message) == ("data.column-absent", True)
    assert "input" in problem.allowed


def test_columns_are_mapped():
    row = {"frage": "q", "antwort": "a"}
    columns = {"instruction": "frage", "output": "antwort"}
    assert read(row, columns=columns).items[0].messages == (QUESTION, ANSWER)


def test_max_rows_stops_reading_an_endless_loader():
    def endless():
        while True:
            yield {"messages": CHAT}

    examples = read_examples(endless(), source=DataSource(max_rows=3), origin="train", bad=BadRows("error"))
    assert len(examples.items) == 3


def test_D28_an_absent_column_lists_the_available_ones():
    problem = refused({"question": "q", "answer": "a"}, format="alpaca").problems[0]
    assert problem.code == "data.column-absent"
    assert problem.found == "available columns: question, answer"
    mapped = refused({"question": "q"}, columns={"output": "antwort"}).problems[0]
    assert ("antwort" in mapped.message, "question" in mapped.found) == (True, True)


def test_D28_a_later_row_without_a_column_lists_what_it_has():
    rows = [{"instruction": "q", "output": "a"}, {"instruction": "q", "answer": "a"}]
    problem = refused(*rows).problems[0]
    assert (problem.code, problem.place) == ("data.column-absent", "train row 2")
    assert problem.found == "available columns: instruction, answer"
    assert read(*rows, policy="skip").skipped == 1


@pytest.mark.parametrize("row", [{"question": "q"}, {"text": "t", "messages": CHAT}, {}, {1: "q"}])
def test_D28_an_unrecognised_format_says_what_each_needs(row: Mapping[str, object]):
    problem = refused(row).problems[0]
    assert problem.code == "data.unrecognised-format"
    assert "alpaca: instruction + output" in problem.allowed


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


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5) | st.just("user"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("role", "content", "from", "value", "type", "text", "tool_calls"), inner)
        )
    ),
    max_leaves=12,
)


@given(form=st.sampled_from(list(FORMATS.values())), data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_values_in_the_columns_raise_nothing_but_our_errors(form, data):
    row = data.draw(st.fixed_dictionaries(dict.fromkeys(form.needs, CELLS), optional=dict.fromkeys(form.takes, CELLS)))
    with suppress(LorasdkError):
        read(row, format=form.name)
