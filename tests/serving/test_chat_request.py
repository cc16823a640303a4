import pytest
from serving_on_fakes import Tuner, chat, error, post

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def asked(**body):
    tuner = Tuner()
    assert chat(tuner, **body).status_code == 200
    return tuner.asked[0]


def test_roles_parts_names_and_calls_become_messages():
    parts = [{"type": "text", "text": "he"}, {"type": "text", "text": "llo"}]
    turns = asked(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": parts, "name": "Ann"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "2", "tool_call_id": "c1"},
        ]
    ).prompt
    assert [(turn.role, turn.content) for turn in turns] == [
        ("system", "be brief"), ("user", "hello"), ("assistant", ""), ("tool", "2"),
    ]  # fmt: skip
    assert turns[1].name == "Ann"
    # Templates want the object that the protocol has as text.
    assert turns[2].tool_calls[0]["function"]["arguments"] == {"a": 1}
    assert turns[3].tool_call_id == "c1"


def test_settings_become_those_of_a_recipe():
    settings = asked(
        temperature=0.5, top_p=0.9, top_k=5, repetition_penalty=1.2, seed=7, max_completion_tokens=9, stop="\n"
    ).generation
    assert settings == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.2,
        "stop": ("\n",), "seed": 7, "max_new_tokens": 9,
    }  # fmt: skip


def test_what_is_left_out_is_the_recipes():
    ask = asked(temperature=None, top_p=None)
    assert ask.generation.keys() == {"seed", "max_new_tokens"}
    assert ask.generation["max_new_tokens"] == 256
    assert ask.logprobs is None


def test_top_k_of_none_or_minus_one_takes_all_tokens():
    assert asked(top_k=-1).generation["top_k"] is None
    assert asked(top_k=0).generation["top_k"] is None


def test_without_a_seed_the_same_request_is_answered_anew():
    assert asked().generation["seed"] != asked().generation["seed"]


def test_several_answers_have_seeds_of_their_own():
    tuner = Tuner()
    assert len(chat(tuner, n=3, seed=2**63 - 2).json()["choices"]) == 3
    assert [ask.generation["seed"] for ask in tuner.asked] == [2**63 - 2, 2**63 - 1, 0]


def test_a_negative_seed_is_one_too():
    assert asked(seed=-1).generation["seed"] == 2**63 - 1


def test_tools_are_shown_unless_they_shall_not_be():
    assert asked(tools=[TOOL]).tools == (TOOL,)
    assert asked(tools=[TOOL], tool_choice="none").tools == ()


@pytest.mark.parametrize(
    "harmless",
    [
        {"user": "u"}, {"metadata": {"a": "b"}}, {"store": False}, {"service_tier": "auto"}, {"logit_bias": {}},
        {"frequency_penalty": 0}, {"presence_penalty": 0.0}, {"response_format": {"type": "text"}},
        {"parallel_tool_calls": True}, {"n": 1}, {"prompt_cache_key": "k"}, {"safety_identifier": "s"},
        {"modalities": ["text"]}, {"audio": None}, {"max_tokens": 5, "max_completion_tokens": 5},
    ],
    ids=lambda body: next(iter(body)),
)  # fmt: skip
def test_what_clients_send_harmlessly_is_accepted(harmless):
    assert chat(**harmless).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"frequency_penalty": 0.1}, {"presence_penalty": 1}, {"logit_bias": {"5": 1}}, {"store": True},
        {"response_format": {"type": "json_schema"}}, {"functions": [{}]}, {"tool_choice": "required"},
        {"modalities": ["audio"]}, {"prediction": {}}, {"reasoning_effort": "high"}, {"web_search_options": {}},
        {"parallel_tool_calls": False},
    ],
    ids=lambda body: next(iter(body)),
)  # fmt: skip
def test_what_would_be_ignored_is_refused_by_name(body):
    assert error(chat(**body)) == (400, "serving.unsupported", next(iter(body)))


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"max_token": 5}, "serving.unknown-parameter", "max_token"),
        ({"temperature": "hot"}, "serving.bad-parameter", "temperature"),
        ({"temperature": 1000}, None, "temperature"),
        ({"max_tokens": 0}, "serving.bad-parameter", "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "serving.bad-parameter", "max_tokens"),
        ({"n": 17}, "serving.too-much", "n"),
        ({"max_tokens": 4097}, "serving.too-much", "max_tokens"),
        ({"top_logprobs": 2}, "serving.bad-parameter", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "serving.bad-parameter", "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "serving.bad-parameter", "stream_options"),
        ({"stop": [""]}, "serving.bad-parameter", "stop[0]"),
        ({"messages": []}, "serving.bad-parameter", "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "serving.bad-parameter", "messages[0].role"),
        ({"messages": [USER, {"role": "user"}]}, "serving.bad-parameter", "messages[1]"),
        ({"messages": [{**USER, "tool_calls": [CALL]}]}, "serving.bad-parameter", "messages[0]"),
        ({"messages": [{**USER, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "serving.unsupported", "messages[0].content"),
        ({"model": "nobody"}, "adapter.unknown", "model"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body, code, param):
    status, told, field = error(chat(**body))
    assert (status, field) == (404 if code == "adapter.unknown" else 400, param)
    assert told == (code or told)


def test_all_faults_are_told_together():
    message = chat(max_token=5, temperature="hot").json()["error"]["message"]
    assert "max_token" in message
    assert "temperature" in message


def test_a_missing_parameter_is_named():
    assert error(post(CHAT, {"model": "teams"})) == (400, "serving.missing-parameter", "messages")


def test_what_is_no_json_is_refused():
    headers = {"Content-Type": "application/json"}
    assert error(post(CHAT, b"{", headers=headers))[:2] == (400, "serving.bad-json")
    deep = b'{"model":' * 5000
    assert error(post(CHAT, deep, headers=headers))[:2] == (400, "serving.bad-json")


def test_a_conversation_has_as_many_turns_as_the_operator_allows():
    assert error(chat(messages=[USER] * 3, options={"max_messages": 2})) == (400, "serving.too-much", "messages")


def test_a_prompt_has_as_many_tokens_as_the_operator_allows():
    long = [{"role": "user", "content": "a b c d"}]
    assert error(chat(messages=long, options={"max_prompt_tokens": 3})) == (400, "serving.too-much", "prompt")


def test_a_name_that_a_client_made_up_is_told_in_part():
    assert len(chat(**{"x" * 5000: 1}).text) < 1000
