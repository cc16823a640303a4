"""An app on a tuner that has neither a model nor files, and a client that asks it without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx2 import ASGITransport, AsyncClient

from lorasdk import load_recipe
from lorasdk.asking import Ask
from lorasdk.errors import AdapterError, Problem
from lorasdk.serving import ServingOptions, close_app, create_app
from lorasdk.testing.fake_scheduler import FakeScheduler

ANSWER = "one two three four"


@dataclass
class Named:
    name: str
    folder: Path = Path()
    created: str = "2025-01-01"


@dataclass
class Shelf:
    named: dict[str, Named] = field(default_factory=dict)

    def load(self, name: str, path: Path, *, replace: bool = False) -> Named:
        if name in self.named and not replace:
            raise AdapterError(Problem("adapter.name-taken", f"{path}: the name is taken"))
        if not path.is_dir():
            raise AdapterError(Problem("adapter.absent", f"no adapter in {path}", place=str(path)))
        self.named[name] = Named(name, path)
        return self.named[name]

    def unload(self, name: str) -> None:
        if self.named.pop(name, None) is None:
            raise AdapterError(Problem("adapter.unknown", "no such adapter"))

    def list(self) -> tuple[Named, ...]:
        return tuple(self.named.values())


@dataclass
class Tuner:
    """Fulfils `Servable`; says who answers and what was asked."""

    answer: Callable[[Ask], str] = lambda ask: f"{ask.adapter}: {ANSWER}"
    names: tuple[str, ...] = ("billing",)
    seconds_per_word: float = 0.0
    schedulers: list[FakeScheduler] = field(default_factory=list)
    asked: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recipe = load_recipe({"name": "teams", "data": {"train": "rows.jsonl"}, "base_model": {"source": "org/m"}})
        self.adapter_dir = Path("teams")
        self.adapters = Shelf({name: Named(name) for name in self.names})

    def open_scheduler(self, *, max_rows: int = 32, max_waiting: int = 256) -> FakeScheduler:
        def answer(ask: Ask) -> str:
            self.asked.append(ask)
            return self.answer(ask)

        made = FakeScheduler(answer, max_rows=max_rows, max_waiting=max_waiting, seconds_per_word=self.seconds_per_word)
        self.schedulers.append(made)
        return made


@asynccontextmanager
async def asking(tuner: Tuner, **options: Any) -> AsyncIterator[AsyncClient]:
    app = create_app(tuner, options=ServingOptions(**options))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://server") as client:
        try:
            yield client
        finally:
            await close_app(app, drain_seconds=0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def post(path: str, body: Any, tuner: Tuner | None = None, *, headers: Any = None, **options: Any) -> Any:
    """One request to an app of its own."""

    async def ask() -> Any:
        async with asking(tuner or Tuner(), **options) as client:
            kind = {"content": body} if isinstance(body, bytes) else {"json": body}
            return await client.post(path, headers=headers, **kind)

    return run(ask())


def chat(tuner: Tuner | None = None, *, headers: Any = None, options: Any = None, **body: Any) -> Any:
    """One question."""
    asked = {"model": "teams", "messages": [{"role": "user", "content": "hi"}], **body}
    return post("/v1/chat/completions", asked, tuner, headers=headers, **(options or {}))


def events(response: Any) -> list[Any]:
    """What a stream said; the last thing is [DONE]."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def error(response: Any) -> tuple[int, str, str | None]:
    """Status, code and parameter of a refusal."""
    told = response.json()["error"]
    assert told.keys() == {"message", "type", "param", "code"}
    return response.status_code, told["code"], told["param"]


class Connection:
    """One request by hand: its client can leave, or stop to read."""

    def __init__(self, app: Any, body: Any, path: str = "/v1/chat/completions") -> None:
        self.app, self.body, self.path = app, json.dumps(body).encode(), path
        self.left, self.reads = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.sent: list[Any] = []
        self._asked = False

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    async def ask(self) -> None:
        scope = {
            "type": "http", "method": "POST", "path": self.path, "raw_path": self.path.encode(), "query_string": b"",
            "headers": [(b"content-type", b"application/json")], "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1", "scheme": "http", "root_path": "", "server": ("server", 80), "client": ("me", 1),
        }  # fmt: skip
        await self.app(scope, self._receive, self._send)

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)


async def until(fulfilled: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not fulfilled():
            await asyncio.sleep(0.005)
