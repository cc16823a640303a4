"""The tutorial about a FastAPI app: its files, a real server, and each request as it stands on the page."""

import dataclasses
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from headless_browser import Page
from httpx2 import Client, ConnectError
from one_job import DOCS, example
from titled_files import Tutorial

from lorasdk import StepFinished

PAGE = Tutorial.named("fastapi.md")
SERVICE = DOCS / "examples" / "service.py"
EPOCHS = 200
"""Enough that what is asked after the first steps comes in the middle."""


@pytest.fixture
def server(tiny_model_dir: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the app with the page's bar."""
    shutil.copy(SERVICE, tmp_path)
    PAGE.write_files(tmp_path, model_dir=tiny_model_dir, epochs=EPOCHS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "with_page:app", "--port", str(port), "--log-level", "error"]
    with subprocess.Popen([*command, "--timeout-graceful-shutdown", "1"], cwd=tmp_path) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(base_url=server, timeout=30) as client:
        until(lambda: _answers(client))
        yield client


def _answers(client: Client) -> bool:
    try:
        return client.get("/").status_code == 200
    except ConnectError:
        return False


def until(fulfilled: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not fulfilled():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def request(line: str) -> tuple[str, str, dict[str, str]]:
    """Method, path and file of a curl command."""
    words = shlex.split(line)
    (address,) = [word for word in words if word.startswith("localhost:8000")]
    sent = {"file": words[words.index("-d") + 1].removeprefix("@")} if "-d" in words else {}
    method = words[2] if words[1] == "-sX" else "POST" if sent else "GET"
    return method, address.removeprefix("localhost:8000"), sent


def requests() -> list[tuple[str, str | None]]:
    """Each curl command with the answer that the page shows for it."""
    pairs: list[tuple[str, str | None]] = []
    for language, code in PAGE.blocks("sh", "json"):
        lines = code.splitlines()
        if language == "json":
            pairs[-len(lines) :] = [(line, shown) for (line, _), shown in zip(pairs[-len(lines) :], lines, strict=True)]
        else:
            pairs += [(line, None) for line in lines if line.startswith("curl")]
    return pairs


def test_requests_are_answered_as_the_page_shows(client: Client, tmp_path: Path):
    order = json.loads((tmp_path / "order.json").read_text("utf-8"))
    ident = ""
    for line, shown in requests():
        method, path, sent = request(line)
        if shown is None:
            continue
        wanted = json.loads(shown)
        mine = path.replace(wanted["id"], ident)
        if method == "GET":
            until(lambda mine=mine, wanted=wanted: _is_like(client.get(mine).json(), wanted))
        answer = client.request(method, mine, json=order if sent else None).json()
        ident = answer["id"]
        assert answer["status"] == wanted["status"], line
        assert answer.keys() == wanted.keys()
    assert [json.loads(shown)["status"] for _, shown in requests() if shown] == (
        ["running", "running", "stopping", "stopped", "running"]
    )
    client.delete(f"/trainings/{ident}")


def _is_like(answer: dict[str, object], wanted: dict[str, object]) -> bool:
    return answer["status"] == wanted["status"] and bool(answer["step"]) == bool(wanted["step"])


def test_events_come_while_the_training_runs_as_the_page_shows(client: Client, tmp_path: Path):
    order = json.loads((tmp_path / "order.json").read_text("utf-8"))
    path = f"/trainings/{client.post('/trainings', json=order).json()['id']}"
    with client.stream("GET", f"{path}/events") as stream:
        lines = iter(stream.iter_lines())
        assert any(line == "event: StepFinished" for line in lines)
        sent = json.loads(next(lines).removeprefix("data: "))
    assert client.get(path).json()["status"] == "running"
    client.delete(path)
    (shown,) = [code for _, code in PAGE.blocks("text")]
    name, data = shown.splitlines()
    assert name == "event: StepFinished"
    assert json.loads(data.removeprefix("data: ")).keys() == sent.keys()
    assert sent.keys() == {field.name for field in dataclasses.fields(StepFinished)}


def test_the_bar_moves_in_a_browser_and_its_button_cancels(browser: Page, server: str, client: Client, tmp_path: Path):
    order = json.loads((tmp_path / "order.json").read_text("utf-8"))
    path = f"/trainings/{client.post('/trainings', json=order).json()['id']}"
    browser.look(width=800)
    browser.open(f"{server}/#{path.rpartition('/')[2]}")
    browser.wait_until("document.querySelector('progress').value > 0")
    browser.click("button")
    browser.wait_until("document.querySelector('output').value === 'cancelled'")
    until(lambda: client.get(path).json()["status"] == "stopped")


def test_pieces_of_the_service_on_the_page_are_those_of_its_file():
    pieces = PAGE.pieces("from service.py")
    assert len(pieces) == 4
    for piece in pieces:
        assert piece in SERVICE.read_text("utf-8")


def test_recipe_and_order_are_what_the_service_takes():
    (order,) = PAGE.pieces("order.json")
    assert example("service").Order.model_validate_json(order).rows
