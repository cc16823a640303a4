"""A judge on this machine that speaks the chat-completions protocol, for the tests.

Its verdict follows a rule: the highest score when the answer is the reference, else the lowest. It reads the case as a
judge is told to: only lines with the mark divide it. What else it should do is said before, request by request.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-a-secret-of-the-tests"


@dataclass(frozen=True)
class Asked:
    """One request."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return self.body["messages"][0]["content"]

    @property
    def case(self) -> str:
        return self.body["messages"][1]["content"]

    def part(self, name: str) -> str:
        mark = re.search(r"with the mark ([0-9a-f]{16})", self.system)[1]
        return re.search(rf"^<<<{name} {mark}>>>\n(.*)\n<<<end {name} {mark}>>>$", self.case, re.DOTALL | re.MULTILINE)[
            1
        ]

    @property
    def scale(self) -> tuple[int, int]:
        found = re.search(r"whole numbers from (-?\d+) \(worst\) to (-?\d+)", self.system)
        return int(found[1]), int(found[2])


@dataclass(frozen=True)
class Answer:
    """What the server says to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    trickle: bool = False


def says(text: str | None, *, usage: bool = True, finish: str = "stop", refusal: str | None = None) -> Answer:
    """A chat completion with this text; 100 tokens in, 10 out."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    completion = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "local",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
    }
    if usage:
        completion["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return Answer(body=json.dumps(completion).encode())


def fails(status: int, message: str = "no", **headers: str) -> Answer:
    """An error of the endpoint, with the headers given."""
    body = json.dumps({"error": {"message": message}}).encode()
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def by_rule(asked: Asked) -> Answer:
    """The verdict of the rule."""
    low, high = asked.scale
    score = high if asked.part("answer") == asked.part("reference") else low
    return says(json.dumps({"reason": "by the rule", "score": score}))


@dataclass
class LocalJudge:
    """The running server."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    behave: Callable[[Asked], Answer] = by_rule
    """What is said to a request."""
    first: list[Answer] = field(default_factory=list)
    """What is said to the first requests, before `behave` is asked."""
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.first.pop(0) if self.first else self.behave(asked)


@contextmanager
def local_judge() -> Iterator[LocalJudge]:
    """Run a server for the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            right = self.path == "/v1/chat/completions"
            answer = judge.answer(Asked(dict(self.headers.items()), body)) if right else fails(404)
            judge.closing.wait(answer.seconds)
            try:
                self._send(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has gone, as it should

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for letter in answer.body if answer.trickle else ():
                self.wfile.write(bytes([letter]))
                time.sleep(0.05)
            self.wfile.write(b"" if answer.trickle else answer.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    judge = LocalJudge(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        judge.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
