"""OpenAI's own client against `lorasdk serve`."""

import asyncio
import gc
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from served import ADMIN, KEY, Served

CLOSING_SECONDS = 0.05
"""What connections that are closed need to be gone; a loop that ends at once would leave them to the collector."""
ASK = [{"role": "user", "content": "say 3"}]
ANSWERS = {"alpha": "yes", "beta": "no no"}
LONG = {"model": "tiny", "messages": ASK, "max_tokens": 400}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.base_url, api_key=KEY, max_retries=0) as made:
        yield made


def metric(served: Served, name: str) -> float:
    page = httpx2.get(served.base_url.replace("/v1", "/metrics"), headers={"Authorization": f"Bearer {KEY}"}).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))


def at_once(crowd):
    """Run many clients; what their transports leave to the collector, which warns of sockets, is collected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        ends = asyncio.run(crowd)
        gc.collect()
    return ends


def test_models_are_listed(client):
    assert {model.id for model in client.models.list()} >= {"tiny", "alpha", "beta"}
    assert client.models.retrieve("beta").id == "beta"


@pytest.mark.parametrize("model", ANSWERS)
def test_each_model_answers_for_itself(client, model):
    completion = client.chat.completions.create(model=model, messages=ASK)
    assert completion.choices[0].message.content == ANSWERS[model]
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == model
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion.usage.completion_tokens >= 2


def test_a_stream_is_the_whole_answer(client):
    asked = {**LONG, "max_tokens": 24, "temperature": 1.0, "seed": 5}
    whole = client.chat.completions.create(**asked)
    pieces, usage = [], None
    for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 3
    assert usage == whole.usage


def test_the_clients_own_stream_helper_understands(client):
    with client.chat.completions.stream(model="alpha", messages=ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content == "yes"


def test_a_text_is_gone_on_with(client):
    made = client.completions.create(model="tiny", prompt=["The quick", "What is"], max_tokens=6, echo=True)
    assert [choice.text[:9] for choice in made.choices] == ["The quick", "What is" + made.choices[1].text[7:9]]
    pieces = client.completions.create(model="tiny", prompt="The quick", max_tokens=6, stream=True)
    assert "The quick" + "".join(piece.choices[0].text for piece in pieces) == made.choices[0].text


def test_seeds_repeat_answers_and_differ_without(client):
    def ask(**seed):
        return client.chat.completions.create(**{**LONG, "max_tokens": 12}, temperature=1.5, **seed).choices[0]

    assert ask(seed=3).message.content == ask(seed=3).message.content
    assert len({ask().message.content for _ in range(4)}) > 1


def test_several_answers_differ(client):
    made = client.chat.completions.create(**{**LONG, "max_tokens": 12}, temperature=1.5, seed=1, n=3)
    assert [choice.index for choice in made.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in made.choices}) == 3
    assert made.usage.completion_tokens <= 36


def test_stop_sequences_end_answers_and_stand_in_none(client):
    made = client.chat.completions.create(model="beta", messages=ASK, stop=" no")
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("no", "stop")
    pieces = client.chat.completions.create(model="beta", messages=ASK, stop=["x", " no"], stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "no"


def test_length_is_said(client):
    made = client.chat.completions.create(**{**LONG, "max_tokens": 3})
    assert (made.choices[0].finish_reason, made.usage.completion_tokens) == ("length", 3)


def test_log_probabilities_of_a_conversation(client):
    made = client.chat.completions.create(model="alpha", messages=ASK, logprobs=True, top_logprobs=3)
    tokens = made.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == "yes"
    for token in tokens:
        assert token.logprob <= 0
        assert [top.logprob for top in token.top_logprobs] == sorted(
            (t.logprob for t in token.top_logprobs), reverse=True
        )
        assert token.top_logprobs[0].token == token.token  # greedy


def test_log_probabilities_of_a_text(client):
    choice = client.completions.create(model="tiny", prompt="The", max_tokens=5, logprobs=2).choices[0]
    told = choice.logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset)
    assert told.text_offset[0] == 0
    assert all(
        top[token] == p for top, token, p in zip(told.top_logprobs, told.tokens, told.token_logprobs, strict=True)
    )


def test_errors_are_the_clients_own(client, served):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=ASK)
    assert (unknown.value.code, unknown.value.param) == ("adapter.unknown", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="tiny", messages=ASK, logit_bias={"5": 1})
    assert (bad.value.code, bad.value.param) == ("serving.unsupported", "logit_bias")
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model="tiny", messages=ASK, temperature=200)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x" * 3000}])
    assert long.value.code == "inference.prompt-too-long"
    with pytest.raises(openai.BadRequestError) as last:
        client.chat.completions.create(model="tiny", messages=[*ASK, {"role": "assistant", "content": "a"}])
    assert last.value.code == "inference.nothing-to-answer"
    with pytest.raises(openai.AuthenticationError) as key:
        openai.OpenAI(base_url=served.base_url, api_key="wrong").models.list()
    assert key.value.code == "serving.wrong-key"


def test_too_many_at_once_are_told_so_and_come_back(served):
    async def crowd(retries: int):
        async with openai.AsyncOpenAI(base_url=served.base_url, api_key=KEY, max_retries=retries) as client:
            asks = (client.chat.completions.create(**{**LONG, "max_tokens": 4}, n=4) for _ in range(30))
            ends = await asyncio.gather(*asks, return_exceptions=True)
        await asyncio.sleep(CLOSING_SECONDS)
        return ends

    ends = at_once(crowd(0))
    assert {type(end).__name__ for end in ends} == {"ChatCompletion", "RateLimitError"}
    refused = next(end for end in ends if isinstance(end, openai.RateLimitError))
    assert refused.code == "inference.queue-full"
    assert float(refused.response.headers["retry-after"]) >= 1
    assert {type(end).__name__ for end in at_once(crowd(20))} == {"ChatCompletion"}


def test_mixed_models_at_once_each_answer_for_themselves(served):
    async def crowd():
        async with openai.AsyncOpenAI(base_url=served.base_url, api_key=KEY) as client:
            models = ["alpha", "beta"] * 12

            async def ask(model: str, stream: bool):
                made = await client.chat.completions.create(model=model, messages=ASK, stream=stream)
                if not stream:
                    return made.choices[0].message.content
                return "".join([chunk.choices[0].delta.content or "" async for chunk in made])

            texts = await asyncio.gather(*(ask(model, number % 3 == 0) for number, model in enumerate(models)))
        await asyncio.sleep(CLOSING_SECONDS)
        return list(zip(models, texts, strict=True))

    assert all(ANSWERS[model] == text for model, text in at_once(crowd()))


def test_a_client_that_leaves_its_stream_frees_its_place(client, served):
    before = metric(served, 'lorasdk_requests_total{model="tiny",outcome="cancelled"}')
    stream = client.chat.completions.create(**LONG, stream=True, temperature=1.5)
    next(iter(stream))
    stream.close()
    until = time.monotonic() + 10
    while metric(served, "lorasdk_running") and time.monotonic() < until:
        time.sleep(0.02)
    assert metric(served, "lorasdk_running") == 0
    assert metric(served, 'lorasdk_requests_total{model="tiny",outcome="cancelled"}') == before + 1


def test_an_adapter_is_loaded_and_unloaded_while_the_server_runs(client, served, tiny_adapters: dict[str, Path]):
    admin = {"Authorization": f"Bearer {ADMIN}"}
    path = str(tiny_adapters["gamma"].relative_to(tiny_adapters["gamma"].parents[2]))
    loaded = httpx2.post(
        f"{served.base_url}/load_lora_adapter",
        json={"lora_name": "gamma", "lora_path": path},
        headers=admin,
        timeout=60,
    )
    assert loaded.status_code == 200, loaded.text
    assert client.chat.completions.create(model="gamma", messages=ASK).choices[0].message.content == "Paris"
    httpx2.post(f"{served.base_url}/unload_lora_adapter", json={"lora_name": "gamma"}, headers=admin)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gamma", messages=ASK)


def test_no_key_and_no_prompt_is_in_the_log(client, served):
    client.chat.completions.create(model="alpha", messages=[{"role": "user", "content": "xyzzy-secret"}])
    assert "POST /v1/chat/completions" in served.said
    assert not any(secret in served.said for secret in (KEY, ADMIN, "xyzzy-secret"))
