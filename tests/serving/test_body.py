import asyncio

from serving_on_fakes import Tuner, asking, error, post, run

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def test_what_does_not_say_that_it_is_json_is_refused():
    body = b'{"model": "teams", "messages": []}'
    assert error(post(CHAT, body, headers={"Content-Type": "text/plain"})) == (415, "serving.not-json", None)


def test_a_body_that_says_it_is_too_large_is_not_read():
    assert error(post(CHAT, b" " * 2000, headers=JSON, max_body_bytes=1000))[:2] == (413, "serving.body-too-large")


def test_a_body_that_does_not_say_how_large_it_is_is_read_up_to_the_limit():
    sent = []

    async def endless():
        while True:
            sent.append(1)
            yield b" " * 100

    async def ask():
        async with asking(Tuner(), max_body_bytes=1000) as client:
            return await client.post(CHAT, content=endless(), headers=JSON)

    assert error(run(ask()))[:2] == (413, "serving.body-too-large")
    assert len(sent) < 20


def test_a_body_that_does_not_come_is_not_waited_for():
    async def slow():
        yield b"{"
        await asyncio.sleep(5)

    async def ask():
        async with asking(Tuner(), receive_seconds=0.05) as client:
            return await client.post(CHAT, content=slow(), headers=JSON)

    assert error(run(ask()))[:2] == (408, "serving.body-too-slow")
