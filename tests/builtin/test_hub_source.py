"""Models of a hub, played by a server on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import are_progress_bars_disabled
from pydantic import SecretStr

from lorasdk.builtin.hub_source import HubSource
from lorasdk.contracts import SourceRequest
from lorasdk.errors import ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 4096
CUT_AFTER = 100_000
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "pytorch_model.bin": b"pickle", "modeling.py": b"code"}


@dataclass
class Hub:
    """What the server serves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    refusal: tuple[int, str, str] | None = None
    cuts: int = 0
    ranges: list[str | None] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    endpoint: str = ""


class Answers(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.tokens.add(self.headers.get("Authorization"))
        if self.hub.refusal:
            status, code, message = self.hub.refusal
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})
        elif self.path.startswith("/api/models/"):
            entries = [{"rfilename": name} for name in self.hub.files]
            tree = [{"type": "file", "path": n, "oid": _etag(c), "size": len(c)} for n, c in self.hub.files.items()]
            answer = tree if "/tree/" in self.path else {"id": "org/name", "sha": COMMIT, "siblings": entries}
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
        else:
            self._send_file(self.path.rpartition("/")[2].partition("?")[0])

    def _send_file(self, name: str) -> None:
        content = self.hub.files[name]
        headers = {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if name == "model.safetensors" and self.command == "GET":
            self.hub.ranges.append(wanted)
        self._send(206 if wanted else 200, content[start:], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            cut = self.hub.cuts > 0 and len(body) > CUT_AFTER
            self.hub.cuts -= cut
            self.wfile.write(body[:CUT_AFTER] if cut else body)
            self.close_connection = True


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    # Only this machine's own server is reached; everything else stays offline.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def request(**changes: object) -> SourceRequest:
    settings = {"reference": "org/name", "revision": None, "base_dir": Path(), "place": "recipe.yaml:3:11"}
    return SourceRequest(**{**settings, **changes})


def refused(hub: Hub, cache: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        HubSource(cache_dir=cache, endpoint=hub.endpoint).locate(request())
    return caught.value


def test_only_weights_and_settings_reach_the_disk(hub: Hub, tmp_path: Path):
    located = HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request())
    assert sorted(path.name for path in located.path.iterdir()) == ["config.json", "model.safetensors"]
    assert (located.format, located.identity, located.revision) == ("folder", "hub:org/name", COMMIT)


def test_the_recipes_token_is_sent(hub: Hub, tmp_path: Path):
    HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request(token=SecretStr("hf_test")))
    assert hub.tokens == {"Bearer hf_test"}


def test_nothing_is_drawn_and_the_hosts_bars_stay_on(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TQDM_POSITION", "-1")  # makes the client draw although nobody sits at a terminal
    HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request())
    assert capfd.readouterr() == ("", "")
    assert not are_progress_bars_disabled()


def test_a_downloaded_model_is_found_offline(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request()) == first


def test_M45_offline_and_not_in_cache_names_the_place_in_the_cache(tmp_path: Path):
    with pytest.raises(ModelError) as caught:
        HubSource(cache_dir=tmp_path).locate(request())
    (problem,) = caught.value.problems
    assert problem.code == "hub.offline"
    assert problem.message == f"offline and not in cache {tmp_path / 'models--org--name'}"
    assert (problem.place, problem.found) == ("recipe.yaml:3:11", "org/name")


def test_M46_a_refused_token_a_gated_and_an_unknown_model_have_different_hints(hub: Hub, tmp_path: Path):
    told = {}
    for refusal in [
        (401, "", "Invalid credentials in Authorization header"),
        (403, "GatedRepo", "Access to model org/name is restricted"),
        (404, "RepoNotFound", "Repository not found"),
    ]:
        hub.refusal = refusal
        error = refused(hub, tmp_path)
        told[error.code] = error.problems[0].fix
    assert list(told) == ["hub.unauthorised", "hub.gated", "hub.unknown-model"]
    assert len(set(told.values())) == 3
    assert all("base_model.token" in fix for fix in told.values())


def test_M46_an_unknown_revision_is_not_an_unknown_model(hub: Hub, tmp_path: Path):
    hub.refusal = (404, "RevisionNotFound", "Invalid rev id: v9")
    assert refused(hub, tmp_path).code == "hub.unknown-revision"


def test_M47_a_cut_download_goes_on_where_it_was_cut(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between the client's retries
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    hub.cuts = 1
    located = HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request())
    assert (located.path / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges == [None, "bytes=100000-"]


def test_M47_no_partial_file_is_used(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.cuts = 100
    assert refused(hub, tmp_path).code == "hub.download-failed"
    assert not list(tmp_path.rglob("model.safetensors"))
    hub.cuts = 0
    located = HubSource(cache_dir=tmp_path, endpoint=hub.endpoint).locate(request())
    assert (located.path / "model.safetensors").read_bytes() == WEIGHTS


def test_M49_a_model_with_pickled_weights_only_is_refused_and_they_are_not_downloaded(hub: Hub, tmp_path: Path):
    del hub.files["model.safetensors"]
    assert refused(hub, tmp_path).code == "hub.no-safetensors"
    assert not list(tmp_path.rglob("*.bin"))


@pytest.mark.parametrize("reference", ["a/b/c", "", "-x/y", "org/na me", "https://x"])
def test_what_cannot_be_an_id_is_told_by_check(reference: str):
    (problem,) = HubSource().check(request(reference=reference))
    assert problem.code == "hub.bad-id"
