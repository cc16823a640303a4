"""uvicorn in a thread of its own, on a fake tuner."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai
import pytest
from serving_on_fakes import Tuner

from lorasdk.errors import ResourceError
from lorasdk.serving import ServingOptions, create_app
from lorasdk.serving.running import bound, is_loopback, run_app
from lorasdk.stopping import StopToken

ASK = [{"role": "user", "content": "hi"}]


@contextmanager
def running(tuner: Tuner, *, drain_seconds: float = 5, **options) -> Iterator[tuple[str, StopToken, threading.Thread]]:
    stop, listener = StopToken(), bound("127.0.0.1", 0)
    app = create_app(tuner, options=ServingOptions(**options))
    thread = threading.Thread(
        target=run_app, args=(app, listener), kwargs={"stop": stop, "drain_seconds": drain_seconds}
    )
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    try:
        until_connected(url)
        yield url, stop, thread
    finally:
        stop.stop()
        thread.join(20)
        listener.close()
    assert not thread.is_alive()


def until_connected(url: str) -> None:
    for _ in range(200):
        try:
            httpx2.get(url.replace("/v1", "/healthz"))
        except httpx2.ConnectError:
            threading.Event().wait(0.02)
        else:
            return


def test_the_client_understands_an_error_in_the_middle_of_a_stream():
    tuner = Tuner(lambda _ask: "word " * 500, seconds_per_word=0.01)
    with running(tuner, answer_seconds=0.2) as (url, _, _):
        stream = openai.OpenAI(base_url=url, api_key="none").chat.completions.create(
            model="teams", messages=ASK, stream=True, max_tokens=400
        )
        with pytest.raises(openai.APIError) as caught:
            list(stream)
    assert caught.value.code == "serving.too-slow"


def test_what_takes_too_long_is_not_asked_again_by_the_client():
    tuner = Tuner(lambda _ask: "word " * 500, seconds_per_word=0.01)
    with running(tuner, answer_seconds=0.1) as (url, _, _):
        with pytest.raises(openai.InternalServerError) as caught:
            openai.OpenAI(base_url=url, api_key="none").chat.completions.create(
                model="teams", messages=ASK, max_tokens=400
            )
        assert caught.value.status_code == 504
        assert len(tuner.asked) == 1


def test_what_is_not_finished_when_the_time_is_over_is_told_so():
    tuner = Tuner(lambda _ask: "word " * 5000, seconds_per_word=0.01)
    with running(tuner, drain_seconds=0.2, max_answer_tokens=5000) as (url, stop, _):
        stream = openai.OpenAI(base_url=url, api_key="none").chat.completions.create(
            model="teams", messages=ASK, stream=True, max_tokens=5000
        )
        pieces = iter(stream)
        next(pieces)
        stop.stop()
        with pytest.raises(openai.APIError) as caught:
            list(pieces)
    assert caught.value.code == "inference.stopped"


def test_a_client_that_goes_away_is_noticed():
    tuner = Tuner(lambda _ask: "word " * 5000, seconds_per_word=0.005)
    with running(tuner, max_answer_tokens=5000) as (url, _, _):
        with pytest.raises(openai.APITimeoutError):
            openai.OpenAI(base_url=url, api_key="none", timeout=0.3, max_retries=0).chat.completions.create(
                model="teams", messages=ASK, max_tokens=5000
            )
        for _ in range(200):
            if tuner.schedulers[0].load.cancelled:
                break
            threading.Event().wait(0.02)
        assert tuner.schedulers[0].load.cancelled == 1


def test_an_address_that_is_taken_is_refused_in_words():
    with bound("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(ResourceError) as caught:
            bound("127.0.0.1", first.getsockname()[1])
    assert caught.value.code == "serving.address"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("server.example", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host, loopback):
    assert is_loopback(host) is loopback


def test_ipv6_is_an_address_too():
    if not socket.has_ipv6:
        pytest.skip("this machine has none")
    try:
        bound("::1", 0).close()
    except ResourceError:
        pytest.skip("this machine has no ::1")
