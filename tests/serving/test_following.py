"""Between a scheduler's thread and the event loop: waiting, giving up, and being left."""

import asyncio
import threading
import time

import pytest
from serving_on_fakes import Connection, Tuner, asking, chat, error, events, run, until

from lorasdk.errors import InferenceError, Problem
from lorasdk.serving import ServingOptions, close_app, create_app
from lorasdk.serving.app import service_of

QUESTION = {"model": "teams", "messages": [{"role": "user", "content": "hi"}]}
ENDLESS = " ".join(["word"] * 5000)


def endless(**settings) -> Tuner:
    return Tuner(lambda _ask: ENDLESS, **{"seconds_per_word": 0.002, **settings})


async def left(stream: bool) -> Tuner:
    tuner = endless()
    app = create_app(tuner, options=ServingOptions(max_answer_tokens=10_000))
    connection = Connection(app, {**QUESTION, "stream": stream, "max_tokens": 5000})
    asked = asyncio.create_task(connection.ask())
    await until(lambda: bool(tuner.schedulers) and tuner.schedulers[0].load.running == 1)
    if stream:
        await until(lambda: "word" in connection.text)
    connection.left.set()
    await asked
    await until(lambda: tuner.schedulers[0].load.cancelled == 1)
    assert tuner.schedulers[0].load.running == 0
    assert "[DONE]" not in connection.text
    await close_app(app, drain_seconds=0)
    return tuner


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_work(stream):
    run(left(stream))


@pytest.mark.parametrize("stream", [True, False])
def test_a_server_that_says_at_the_end_that_all_is_over_has_lost_no_client(stream):
    """What a host puts between may take a while to pass the last part on."""

    class Slow(Connection):
        async def _send(self, message) -> None:
            await super()._send(message)
            if not message.get("more_body", message["type"] == "http.response.start"):
                self.left.set()
                await asyncio.sleep(0.01)

    async def answered() -> str:
        app = create_app(Tuner())
        await Slow(app, {**QUESTION, "stream": stream}).ask()
        await close_app(app, drain_seconds=0)
        return service_of(app).metrics.page().decode()

    assert 'lorasdk_requests_total{model="teams",outcome="answered"} 1.0' in run(answered())


def test_a_client_that_does_not_read_ends_the_work():
    async def stalled():
        tuner = endless()
        app = create_app(tuner, options=ServingOptions(stall_seconds=0.05, max_answer_tokens=10_000))
        connection = Connection(app, {**QUESTION, "stream": True, "max_tokens": 5000})
        asked = asyncio.create_task(connection.ask())
        await until(lambda: "word" in connection.text)
        connection.reads.clear()
        await asked
        await until(lambda: tuner.schedulers[0].load.cancelled == 1)
        await close_app(app, drain_seconds=0)

    run(stalled())


def test_a_client_that_leaves_while_its_prompt_is_read_is_not_answered():
    async def left_early():
        reading, go_on = threading.Event(), threading.Event()

        def slow(_ask):
            reading.set()
            go_on.wait(5)
            return ENDLESS

        tuner = Tuner(slow, seconds_per_word=0.002)
        app = create_app(tuner)
        connection = Connection(app, QUESTION)
        asked = asyncio.create_task(connection.ask())
        await until(reading.is_set)
        connection.left.set()
        await asked
        go_on.set()
        await until(lambda: tuner.schedulers[0].load.cancelled == 1)
        await close_app(app, drain_seconds=0)

    run(left_early())


def test_the_event_loop_goes_on_while_a_prompt_is_read():
    async def ticks():
        go_on = threading.Event()
        tuner = Tuner(lambda _ask: str(go_on.wait(5)))
        async with asking(tuner) as client:
            asked = asyncio.create_task(client.post("/v1/chat/completions", json=QUESTION))
            await until(lambda: bool(tuner.asked))
            assert (await client.get("/healthz")).status_code == 200
            go_on.set()
            return (await asked).status_code

    assert run(ticks()) == 200


def test_an_answer_that_takes_too_long_is_ended():
    tuner = endless()
    response = chat(tuner, max_tokens=4000, options={"answer_seconds": 0.1})
    assert error(response)[:2] == (504, "serving.too-slow")
    # Asking again would end the same way, and OpenAI's client would.
    assert response.headers["x-should-retry"] == "false"
    assert tuner.schedulers[0].load.cancelled == 1


def test_an_answer_that_does_not_begin_is_ended():
    tuner = endless(seconds_per_word=0.5)
    response = chat(tuner, options={"queue_seconds": 0.05})
    assert error(response)[:2] == (503, "serving.waited-too-long")
    assert float(response.headers["retry-after"]) >= 1


def test_time_runs_from_when_the_scheduler_has_a_request():
    """The first one loads a model."""
    tuner = Tuner()
    open_at_once = tuner.open_scheduler

    def slowly(**bounds):
        time.sleep(0.3)
        return open_at_once(**bounds)

    tuner.open_scheduler = slowly
    assert chat(tuner, options={"queue_seconds": 0.2, "answer_seconds": 0.25}).status_code == 200


def test_what_goes_wrong_in_a_stream_is_its_last_event():
    response = chat(endless(), stream=True, max_tokens=4000, options={"answer_seconds": 0.2})
    assert response.status_code == 200
    told = events(response)
    assert told[-1]["error"]["code"] == "serving.too-slow"
    assert told[-2]["choices"][0]["delta"]["content"].strip() == "word"


def test_what_goes_wrong_before_a_stream_is_an_ordinary_refusal():
    def refuse(_ask):
        raise InferenceError(Problem("inference.prompt-too-long", "too long", field="prompt"))

    assert error(chat(Tuner(refuse), stream=True)) == (400, "inference.prompt-too-long", "prompt")


def test_when_one_of_several_answers_is_refused_none_is_computed():
    def refuse_second(ask):
        if ask.generation["seed"] == 2:
            raise InferenceError(Problem("inference.empty-prompt", "nothing is asked"))
        return ENDLESS

    tuner = Tuner(refuse_second, seconds_per_word=0.002)
    assert error(chat(tuner, n=2, seed=1))[:2] == (400, "inference.empty-prompt")
    assert tuner.schedulers[0].load.cancelled == 1


def test_a_fault_tells_the_client_nothing_and_the_log_only_where(caplog):
    def fail(_ask):
        raise ValueError("the prompt was: secret")

    response = chat(Tuner(fail))
    assert error(response)[:2] == (500, "serving.fault")
    assert "secret" not in response.text + caplog.text.replace('"the prompt was: secret"', "")
    assert "ValueError" in caplog.text
