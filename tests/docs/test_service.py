"""The web service of the documentation: real requests, real processes, a real restart."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient, Response
from one_job import DOCS, ROWS, STEPS, example, job, weights

NAMES = re.compile(r"^event: (\w+)$", re.MULTILINE)
DATA = re.compile(r"^data: (.*)$", re.MULTILINE)


class Server:
    """The service, and what its streams have sent so far."""

    def __init__(self) -> None:
        self.sent = ""
        self.module = example("service")
        self._app = self.module.app

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncClient]:
        transport = ASGITransport(self._overheard)
        async with (
            self._app.router.lifespan_context(self._app),
            AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            yield client

    async def _overheard(self, scope: Any, receive: Any, send: Any) -> None:
        # The client gives a stream when it is over; this hears it on its way.
        async def overhear(message: Any) -> None:
            self.sent += message.get("body", b"").decode()
            await send(message)

        await self._app(scope, receive, overhear)


async def until(client: AsyncClient, path: str, fulfilled: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask how a training is doing until it is as wanted."""
    async with asyncio.timeout(60):
        while not fulfilled(progress := (await client.get(path)).json()):
            await asyncio.sleep(0.02)
    return progress


def told(response: Response) -> list[int]:
    """The steps of a stream of events."""
    names, data = NAMES.findall(response.text), DATA.findall(response.text)
    pairs = zip(names, map(json.loads, data), strict=True)
    return [event["step"] for name, event in pairs if name == "StepFinished"]


@pytest.fixture
def _folder(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside the service."""
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(json.dumps(job(tiny_model_dir, tmp_path)), "utf-8")


@pytest.mark.usefixtures("_folder")
def test_a_training_is_watched_stopped_resumed_and_survives_a_restart(undisturbed: str):
    path, reached = asyncio.run(stopped_and_left_running())
    assert asyncio.run(resumed_after_a_restart(path, reached)) == undisturbed


async def stopped_and_left_running() -> tuple[str, int]:
    server = Server()
    async with server.running() as client:
        posted = await client.post("/trainings", json={"rows": ROWS})
        assert (posted.status_code, posted.json()["status"]) == (202, "running")
        path = f"/trainings/{posted.json()['id']}"
        listening = asyncio.create_task(client.get(f"{path}/events"))
        progress = await until(client, path, lambda progress: progress["step"] >= 3)
        assert progress["status"] == "running"
        assert progress["loss"] > 0
        assert progress["seconds_left"] > 0
        assert "event: StepFinished" in server.sent
        assert not listening.done()
        assert (await client.post(f"{path}/resume")).status_code == 409
        assert (await client.delete(path)).status_code == 202
        steps = told(await listening)
        progress = await until(client, path, lambda progress: progress["status"] == "stopped")
        assert steps == list(range(1, progress["step"] + 1))
        assert progress["step"] < STEPS
        resumed = (await client.post(f"{path}/resume")).json()
        assert (resumed["status"], resumed["step"]) == ("running", progress["step"])
        progress = await until(client, path, lambda progress: progress["step"] > len(steps))
    return path, progress["step"]


async def resumed_after_a_restart(path: str, reached: int) -> str:
    async with Server().running() as client:
        before = (await client.get(path)).json()
        assert before["status"] == "stopped"
        assert reached <= before["step"] < STEPS
        assert (await client.delete(path)).status_code == 409
        assert (await client.post(f"{path}/resume")).status_code == 202
        assert (await until(client, path, lambda progress: progress["status"] != "running"))["status"] == "finished"
        assert told(await client.get(f"{path}/events")) == list(range(1, STEPS + 1))
        assert (await client.post(f"{path}/resume")).status_code == 409
    (adapter,) = Path(path[1:]).glob("tiny/run-*/adapter")
    return weights(adapter)


@pytest.mark.usefixtures("_folder")
def test_what_cannot_be_done_is_refused_in_words():
    asyncio.run(refusals())


async def refusals() -> None:
    server = Server()
    server.module.AT_ONCE = 1
    async with server.running() as client:
        assert (await client.post("/trainings", json={"rows": []})).status_code == 422
        assert (await client.get("/trainings/../recipe.yaml")).status_code == 404
        for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/resume")]:
            unknown = f"/trainings/00000000-0000-0000-0000-000000000000{path}"
            assert (await client.request(method, unknown)).status_code == 404
        order = {"rows": [{"prompt": "a", "completion": ""}]}
        bad, too_many = [await client.post("/trainings", json=order) for _ in range(2)]
        assert (bad.status_code, too_many.status_code) == (202, 429)
        path = f"/trainings/{bad.json()['id']}"
        failed = await until(client, path, lambda progress: progress["status"] != "running")
        assert failed["status"] == "failed"
        assert "row 1: 'completion' is empty" in failed["error"]


def test_the_page_uses_every_route_and_shows_what_is_answered():
    page = (DOCS / "embedding.md").read_text("utf-8")
    module = example("service")
    used = set()
    for line in re.findall(r"^curl .*$", page, re.MULTILINE):
        (path,) = re.findall(r"localhost:8000(\S*)", line)
        method = re.findall(r"-sX (\w+)", line) or (["POST"] if " -d " in line else ["GET"])
        used.add((*method, re.sub(r"/[0-9a-f-]{36}", "/{training}", path)))
    offered = {(m.upper(), path) for path, route in module.app.openapi()["paths"].items() for m in route}
    assert used == offered
    (order,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert module.Order.model_validate_json(order).rows
    answers = re.findall(r"^\{\"id\":.*\}$", page, re.MULTILINE)
    assert answers
    for answer in answers:
        assert module.Progress.model_validate_json(answer, extra="forbid").model_dump_json() == answer
