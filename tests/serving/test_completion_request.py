import pytest
from serving_on_fakes import Tuner, error, events, post


def complete(tuner: Tuner | None = None, **body):
    return post("/v1/completions", {"model": "billing", "prompt": "Once", **body}, tuner)


def test_texts_are_gone_on_with_by_whom_the_client_names():
    tuner = Tuner()
    choices = complete(tuner, prompt=["a", "b c"], n=2).json()["choices"]
    assert [(ask.prompt, ask.adapter) for ask in tuner.asked] == [("a", "billing")] * 2 + [("b c", "billing")] * 2
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    assert choices[0]["text"] == "billing: one two three four"


def test_a_prompt_counts_once_however_many_answers_it_has():
    usage = complete(prompt=["a", "b c"], n=2).json()["usage"]
    assert usage["prompt_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_echo_begins_with_the_prompt():
    assert complete(echo=True).json()["choices"][0]["text"].startswith("Oncebilling:")
    pieces = [choice["text"] for chunk in events(complete(echo=True, stream=True)) for choice in chunk["choices"]]
    assert pieces[:2] == ["Once", "billing:"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"prompt": [1, 2]}, "serving.unsupported", "prompt"),
        ({"prompt": [[1], [2]]}, "serving.unsupported", "prompt"),
        ({"prompt": []}, "serving.bad-parameter", "prompt"),
        ({"suffix": "end"}, "serving.unsupported", "suffix"),
        ({"best_of": 2}, "serving.unsupported", "best_of"),
        ({"echo": True, "logprobs": 1}, "serving.unsupported", "echo"),
        ({"prompt": ["a"] * 17}, "serving.too-much", "prompt"),
        ({"messages": []}, "serving.unknown-parameter", "messages"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(body, code, param):
    assert error(complete(**body)) == (400, code, param)
