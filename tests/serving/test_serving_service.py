"""Room, and the end."""

import asyncio

from serving_on_fakes import Tuner, asking, error, events, run, until

from lorasdk.serving import ServingOptions, close_app, create_app
from lorasdk.serving.app import service_of

CHAT = "/v1/chat/completions"
QUESTION = {"model": "teams", "messages": [{"role": "user", "content": "hi"}]}


async def crowd(tuner: Tuner, count: int, **options):
    async with asking(tuner, **options) as client:
        return await asyncio.gather(*(client.post(CHAT, json=QUESTION) for _ in range(count)))


def test_more_than_there_is_room_for_is_told_when_to_come_back():
    responses = run(crowd(Tuner(seconds_per_word=0.02), 8, max_rows=2, max_waiting=3))
    statuses = [response.status_code for response in responses]
    assert statuses.count(200) == 5
    refused = [response for response in responses if response.status_code == 429]
    assert error(refused[0])[:2] == (429, "inference.queue-full")
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
    waits = [int(response.headers["retry-after-ms"]) for response in refused]
    assert len(set(waits)) == 3


def test_all_answers_of_a_request_find_room_or_none():
    tuner = Tuner()
    responses = run(crowd(tuner, 1, max_rows=1, max_waiting=1))
    assert responses[0].status_code == 200

    async def many():
        async with asking(tuner, max_rows=1, max_waiting=1) as client:
            return await client.post(CHAT, json={**QUESTION, "n": 3})

    assert error(run(many())) == (400, "serving.too-much", "n")


def test_requests_are_answered_together():
    tuner = Tuner(seconds_per_word=0.01)
    responses = run(crowd(tuner, 8))
    assert {response.status_code for response in responses} == {200}
    assert tuner.schedulers[0].load.finished == 8


def test_the_model_is_loaded_at_the_first_request_and_once():
    tuner = Tuner()
    app = create_app(tuner)
    assert tuner.schedulers == []
    assert not service_of(app).is_open
    run(crowd(tuner, 3))
    assert len(tuner.schedulers) == 1


def test_a_scheduler_that_somebody_closed_is_replaced():
    async def twice():
        tuner = Tuner()
        async with asking(tuner) as client:
            first = await client.post(CHAT, json=QUESTION)
            tuner.schedulers[0].close()
            return tuner, first, await client.post(CHAT, json=QUESTION)

    tuner, first, second = run(twice())
    assert (first.status_code, second.status_code) == (200, 200)
    assert len(tuner.schedulers) == 2


def test_the_bounds_are_the_schedulers():
    tuner = Tuner()
    run(crowd(tuner, 1, max_rows=3, max_waiting=5))
    load = tuner.schedulers[0].load
    assert (load.max_rows, load.max_waiting) == (3, 5)


def test_closing_finishes_what_runs_and_takes_nothing_in():
    async def closed():
        tuner = Tuner(seconds_per_word=0.03)
        app = create_app(tuner)
        from httpx2 import ASGITransport, AsyncClient

        async with AsyncClient(transport=ASGITransport(app), base_url="http://server") as client:
            running = asyncio.create_task(client.post(CHAT, json={**QUESTION, "stream": True}))
            await until(lambda: bool(tuner.schedulers) and tuner.schedulers[0].load.running == 1)
            closing = asyncio.create_task(close_app(app, drain_seconds=5))
            await asyncio.sleep(0)
            late = await client.post(CHAT, json=QUESTION)
            health = await client.get("/healthz")
            await closing
            return await running, late, health

    running, late, health = run(closed())
    assert events(running)[-1]["choices"][0]["finish_reason"] == "stop"
    assert error(late)[:2] == (503, "serving.closing")
    assert (health.status_code, health.json()["status"]) == (503, "closing")


def test_what_does_not_end_in_time_is_told_so():
    async def closed():
        tuner = Tuner(lambda _ask: "word " * 200, seconds_per_word=0.05)
        app = create_app(tuner, options=ServingOptions())
        from httpx2 import ASGITransport, AsyncClient

        async with AsyncClient(transport=ASGITransport(app), base_url="http://server") as client:
            running = asyncio.create_task(client.post(CHAT, json={**QUESTION, "stream": True}))
            await until(lambda: bool(tuner.schedulers) and tuner.schedulers[0].load.running == 1)
            await asyncio.sleep(0.15)
            await close_app(app, drain_seconds=0.1)
            return await running

    assert events(run(closed()))[-1]["error"]["code"] == "inference.stopped"
