"""The host is a guest's first concern: stops are heard, nothing is left, and the environment has no say."""

from __future__ import annotations

import _thread
import asyncio
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from judging import ROWS, Round, example
from local_judge import Answer, LocalJudge, fails, says
from openai import AsyncOpenAI

from lorasdk import InferenceError

GOOD = '{"reason": "fine", "score": 5}'


class HostStopsError(Exception):
    """What check_stop raises."""


def new_threads(before: set[threading.Thread]) -> list[str]:
    """Names of threads that began since then, without those in which the local judge answers."""
    names = [thread.name for thread in set(threading.enumerate()) - before]
    return [name for name in names if "process_request_thread" not in name]


def stop_once_asked(judge: LocalJudge) -> None:
    if judge.asked:
        raise HostStopsError


def test_a_stop_is_heard_while_an_endpoint_is_silent(judge: LocalJudge) -> None:
    judge.behave = lambda _: Answer(seconds=30.0)
    tuned = Round(judge, check_stop=lambda: stop_once_asked(judge))
    before, began = set(threading.enumerate()), time.monotonic()

    with pytest.raises(HostStopsError):
        tuned.score()

    assert time.monotonic() - began < 5.0
    assert not new_threads(before)
    assert "judge.cost" in dict(tuned.told)


def test_a_stop_closes_the_client(judge: LocalJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection is idle when the stop comes, one has a request under way."""
    judge.first, judge.behave = [says(GOOD)], lambda _: Answer(seconds=30.0)
    closed = []

    async def close(client: AsyncOpenAI) -> None:
        await client._client.aclose()
        await asyncio.sleep(0.01)
        closed.append(client.is_closed())

    monkeypatch.setattr(AsyncOpenAI, "close", close)
    with pytest.raises(HostStopsError):
        Round(judge, check_stop=lambda: stop_once_asked(judge)).score()

    assert closed == [True]


def test_a_stop_during_a_handshake_closes_the_connection(judge: LocalJudge) -> None:
    """The server takes the connection and says nothing, so that TLS is never agreed upon."""
    accepted: list[socket.socket] = []

    def stop_once_connected() -> None:
        if select.select([server], [], [], 0)[0]:
            accepted.append(server.accept()[0])
            assert accepted[0].recv(1)  # the client's greeting: the handshake has begun
            raise HostStopsError

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/v1"
        with pytest.raises(HostStopsError):
            Round(judge, check_stop=stop_once_connected).score(ROWS[:1], base_url=url)

    with accepted[0] as connection:
        connection.settimeout(2.0)
        while connection.recv(4096):
            pass


def test_an_error_abandons_the_requests_under_way(judge: LocalJudge) -> None:
    judge.first, judge.behave = [Answer(seconds=20.0)], lambda _: fails(401)
    began = time.monotonic()

    with pytest.raises(InferenceError):
        Round(judge).score(max_parallel=2)

    assert time.monotonic() - began < 5.0


def test_a_stop_is_heard_between_attempts(judge: LocalJudge) -> None:
    judge.behave = lambda _: Answer(503, headers={"Retry-After": "60"})
    began = time.monotonic()

    with pytest.raises(HostStopsError):
        Round(judge, check_stop=lambda: stop_once_asked(judge)).score(attempts=5)

    assert time.monotonic() - began < 5.0


def test_ctrl_c_is_heard_and_no_thread_is_left(judge: LocalJudge) -> None:
    judge.behave = lambda _: Answer(seconds=30.0)
    before = set(threading.enumerate())

    def interrupt() -> None:
        while not judge.asked:
            time.sleep(0.01)
        _thread.interrupt_main()

    presser = threading.Thread(target=interrupt)
    # A shell that starts the tests in its background has them ignore Ctrl-C.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        Round(judge).score()
    presser.join()
    signal.signal(signal.SIGINT, former)

    assert not new_threads(before)


def test_it_works_in_a_thread_that_runs_a_loop(judge: LocalJudge) -> None:
    async def cell() -> list[float]:
        return Round(judge).score()

    assert asyncio.run(cell()) == [1.0, 0.0, 0.0]


def test_no_more_requests_are_under_way_than_allowed(judge: LocalJudge) -> None:
    under_way, most = [0], [0]
    lock, rule = threading.Lock(), judge.behave

    def behave(asked: object) -> Answer:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        with lock:
            under_way[0] -= 1
        return rule(asked)

    judge.behave = behave
    Round(judge).score([example(row, f"q{row}", "a") for row in range(9)], max_parallel=3)

    assert most[0] == 3


def test_the_environment_has_no_say(judge: LocalJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:9"
    for name, value in {
        "OPENAI_API_KEY": "sk-of-the-environment",
        "OPENAI_ADMIN_KEY": "sk-of-the-environment",
        "OPENAI_BASE_URL": nowhere,
        "OPENAI_ORG_ID": "org-of-the-environment",
        "OPENAI_PROJECT_ID": "project-of-the-environment",
        "OPENAI_CUSTOM_HEADERS": "X-Of: the-environment\nAuthorization: Bearer of-the-environment",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "ALL_PROXY": nowhere,
        "SSL_CERT_FILE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)

    Round(judge).score(ROWS[:1])
    Round(judge).score(ROWS[1:2], api_key=None)

    assert judge.asked[0].headers["Authorization"] == "Bearer sk-a-secret-of-the-tests"
    assert "Authorization" not in judge.asked[1].headers
    assert "the-environment" not in str([asked.headers for asked in judge.asked])


def test_requests_tell_nothing_of_this_machine(judge: LocalJudge) -> None:
    Round(judge).score(ROWS[:1])

    names = {name.lower() for name in judge.asked[0].headers}
    assert {name for name in names if name.startswith("x-")} == {"x-stainless-raw-response"}


def test_a_proxy_of_the_recipe_is_used(judge: LocalJudge) -> None:
    """The local judge is asked as if it were the proxy, which shows in the address it is asked for."""
    with pytest.raises(Exception, match=r"judge\.example") as caught:
        Round(judge).score(ROWS[:1], base_url="https://judge.example/v1", proxy=judge.url.removesuffix("/v1"))

    assert caught.value.code == "judge.unreachable"
    assert "501" in caught.value.problems[0].found  # it knows no CONNECT


def test_importing_the_plugin_loads_no_client() -> None:
    code = "import lorasdk_judge, sys; print(sorted({'openai', 'httpx2', 'anyio', 'torch'} & sys.modules.keys()))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
