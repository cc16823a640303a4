import pytest

from lorasdk.contracts import Message
from lorasdk.errors import InferenceError
from lorasdk.inference.prompts import conversations

HI = (Message("user", "hi"),)


@pytest.mark.parametrize("prompt", ["hi", [{"role": "user", "content": "hi"}], [Message("user", "hi")]])
def test_one_prompt(prompt):
    assert conversations(prompt) == ([HI], True)


@pytest.mark.parametrize("prompt", [["hi", "hi"], ["hi", [Message("user", "hi")]], [[*HI], [*HI]]])
def test_a_list_of_prompts(prompt):
    assert conversations(prompt) == ([HI, HI], False)


@pytest.mark.parametrize("prompt", ["", "  ", [], [""], [[]], [{"role": "user", "content": ""}]])
def test_I95_an_empty_prompt_is_refused(prompt):
    with pytest.raises(InferenceError) as caught:
        conversations(prompt)
    assert caught.value.code == "inference.empty-prompt"
    assert "0 " in str(caught.value)


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        ({"role": "boss", "content": "hi"}, "inference.unknown-role"),
        ({"role": "user"}, "inference.no-content"),
        (Message("assistant", "hi"), "inference.nothing-to-answer"),
    ],
)
def test_a_conversation_that_cannot_be_answered_says_why(turn, code: str):
    with pytest.raises(InferenceError) as caught:
        conversations([turn])
    assert caught.value.code == code
