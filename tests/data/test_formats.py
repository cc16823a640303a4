from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_reading import ANSWER, CHAT, QUESTION, read, refused

from lorasdk.contracts import Message
from lorasdk.data.formats import FORMATS
from lorasdk.errors import LorasdkError


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


def test_a_misspelt_key_of_the_mapping_is_refused():
    problem = refused({"instruction": "q", "output": "a", "more": "x"}, columns={"inptu": "more"}).problems[0]
    assert (problem.code, "inptu" in problem.message) == ("data.column-absent", True)
    assert "input" in problem.allowed


def test_columns_are_mapped():
    row = {"frage": "q", "antwort": "a"}
    columns = {"instruction": "frage", "output": "antwort"}
    assert read(row, columns=columns).items[0].messages == (QUESTION, ANSWER)


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
