"""A model hub on this machine: as much of its protocol as a push needs, and the ways in which one goes wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a-token-that-may-write"
FIRST = {".gitattributes": b"*.safetensors filter=lfs\n"}


@dataclass
class Branch:
    sha: str
    files: dict[str, bytes]


@dataclass
class Repository:
    private: bool = True
    branches: dict[str, Branch] = field(default_factory=lambda: {"main": Branch("0" * 40, dict(FIRST))})


@dataclass
class Hub:
    """What it holds, what it was asked, and what goes wrong."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Method and path of each request, in order."""
    store: dict[str, bytes] = field(default_factory=dict)
    """Large files by hash."""
    large: frozenset[str] = frozenset()
    """Names of files that go to the store."""
    drops: dict[str, int] = field(default_factory=dict)
    """How often a request, found by its beginning, is cut in the middle of its body."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and message of what a request, found by its beginning, is answered."""
    parents: list[str | None] = field(default_factory=list)
    """Of each commit, what it was to go on from."""
    endpoint: str = ""

    def commits(self, name: str, branch: str = "main") -> dict[str, bytes]:
        return {key: value for key, value in self.repositories[name].branches[branch].files.items() if key not in FIRST}


class Answers(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        asked = f"{self.command} {self.path}"
        self.hub.asked.append(asked)
        if self._is_cut(asked):
            return
        body = self._body()
        refusal = next((found for start, found in self.hub.refusals.items() if asked.startswith(start)), None)
        if refusal is not None:
            self._send(refusal[0], {"error": refusal[1]}, {"X-Error-Message": refusal[1]})
        elif self.command == "PUT":
            self.hub.store[self.path.rpartition("/")[2].partition("?")[0]] = body
            self._send(200, {})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid credentials in Authorization header"})
        else:
            self._route(self.path.partition("?")[0].strip("/").split("/"), body)

    def _is_cut(self, asked: str) -> bool:
        """Read a little of the body, and hang up."""
        for start, left in self.hub.drops.items():
            if asked.startswith(start) and left:
                self.hub.drops[start] = left - 1
                self.rfile.read(10)
                self.close_connection = True
                return True
        return False

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _route(self, path: list[str], body: bytes) -> None:
        match path:
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                self._send(200, {"errors": [], "warnings": []})
            case ["api", "models", org, name]:
                self._info(f"{org}/{name}", "main")
            case ["api", "models", org, name, "revision", revision]:
                self._info(f"{org}/{name}", revision)
            case ["api", "models", org, name, "branch", revision]:
                branches = self.hub.repositories[f"{org}/{name}"].branches
                branches[revision] = Branch(branches["main"].sha, dict(branches["main"].files))
                self._send(200, {})
            case ["api", "models", _, _, "preupload", _]:
                self._preupload(json.loads(body))
            case [_, _, "info", "lfs", "objects", "batch"]:
                self._batch(json.loads(body))
            case ["api", "models", org, name, "commit", revision]:
                self._commit(f"{org}/{name}", revision, body)
            case _:
                self._send(404, {"error": f"no such address: {path}"})

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repositories:
            self._send(409, {"error": "You already created this model repo"})
            return
        private = wanted.get("visibility") == "private" or wanted.get("private") is True
        self.hub.repositories[name] = Repository(private)
        self._send(200, {"url": f"{self.hub.endpoint}/{name}"})

    def _info(self, name: str, revision: str) -> None:
        repository = self.hub.repositories.get(name)
        branch = repository.branches.get(revision) if repository else None
        if repository is None or branch is None:
            code = "RepoNotFound" if repository is None else "RevisionNotFound"
            self._send(404, {"error": "not found"}, {"X-Error-Code": code})
            return
        siblings = [{"rfilename": file} for file in branch.files]
        self._send(200, {"id": name, "sha": branch.sha, "private": repository.private, "siblings": siblings})

    def _preupload(self, asked: dict[str, Any]) -> None:
        modes = {file["path"]: "lfs" if file["path"] in self.hub.large else "regular" for file in asked["files"]}
        answers = [{"path": p, "uploadMode": mode, "shouldIgnore": False, "oid": None} for p, mode in modes.items()]
        self._send(200, {"files": answers})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for wanted in asked["objects"]:
            # Stores sign their addresses: who has one may write.
            upload = {"href": f"{self.hub.endpoint}/store/{wanted['oid']}?Signature=a-signed-address"}
            actions = {} if wanted["oid"] in self.hub.store else {"actions": {"upload": upload}}
            objects.append({"oid": wanted["oid"], "size": wanted["size"], **actions})
        self._send(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, revision: str, body: bytes) -> None:
        branch = self.hub.repositories[name].branches[revision]
        lines = [json.loads(line) for line in body.splitlines()]
        head = next(line["value"] for line in lines if line["key"] == "header")
        if head.get("parentCommit") not in {None, branch.sha}:
            self._send(412, {"error": "A commit has happened since. Please refresh and try again."})
            return
        self.hub.parents.append(head.get("parentCommit"))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                branch.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                branch.files[value["path"]] = self.hub.store[value["oid"]]
        branch.sha = hashlib.sha1(body).hexdigest()
        self._send(200, {"commitUrl": f"{self.hub.endpoint}/{name}/commit/{branch.sha}", "commitOid": branch.sha})

    def _send(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the block is open."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
