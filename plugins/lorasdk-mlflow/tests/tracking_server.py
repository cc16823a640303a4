"""`mlflow server` in a process of its own, and its answers read over plain HTTP: no MLflow in the test's process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

START_SECONDS = 90


class ServerUnavailableError(Exception):
    """The server cannot be had here; says why."""


@dataclass(frozen=True)
class TrackingServer:
    """A running server."""

    uri: str
    folder: Path
    """Holds its database and artifacts."""

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.uri}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """All runs of an experiment, the oldest first."""
        try:
            found = self.ask(f"experiments/get-by-name?experiment_name={experiment}")
        except HTTPError:
            return []
        wanted = {"experiment_ids": [found["experiment"]["experiment_id"]], "order_by": ["attributes.start_time ASC"]}
        return self.ask("runs/search", wanted).get("runs", [])

    def run(self, experiment: str) -> Run:
        """The only run of an experiment."""
        (run,) = self.runs(experiment)
        return Run(self, run)


@dataclass(frozen=True)
class Run:
    """A run as the server tells it."""

    server: TrackingServer
    told: dict[str, Any]

    @property
    def status(self) -> str:
        return self.told["info"]["status"]

    @property
    def params(self) -> dict[str, str]:
        return {item["key"]: item["value"] for item in self.told["data"].get("params", [])}

    @property
    def tags(self) -> dict[str, str]:
        return {item["key"]: item["value"] for item in self.told["data"].get("tags", [])}

    @property
    def metrics(self) -> dict[str, float]:
        return {item["key"]: float(item["value"]) for item in self.told["data"].get("metrics", [])}

    def history(self, metric: str) -> list[tuple[int, float]]:
        asked = f"metrics/get-history?run_id={self.told['info']['run_id']}&metric_key={metric}"
        values = self.server.ask(asked).get("metrics", [])
        return [(int(value["step"]), float(value["value"])) for value in values]

    def artifacts(self, folder: str = "") -> set[str]:
        asked = f"artifacts/list?run_id={self.told['info']['run_id']}&path={folder}"
        return {file["path"] for file in self.server.ask(asked).get("files", [])}


@contextmanager
def tracking_server(folder: Path) -> Iterator[TrackingServer]:
    """Start a server with a database and artifacts in `folder`; it and what it started are gone afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **quiet}, cwd=folder, start_new_session=True
        )
    try:
        server = TrackingServer(f"http://127.0.0.1:{port}", folder)
        _wait(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)  # its own group: it starts workers
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: TrackingServer, process: subprocess.Popen[bytes]) -> None:
    latest = time.monotonic() + START_SECONDS
    while time.monotonic() < latest:
        words = (server.folder / "server.log").read_text(errors="replace").strip().splitlines()
        missing = [line for line in words if "ModuleNotFoundError" in line]
        if process.poll() is not None or missing:
            raise ServerUnavailableError(f"mlflow server cannot run here: {(missing or words or ['no word'])[-1]}")
        try:
            server.ask("experiments/search", {"max_results": 1})
        except URLError:
            time.sleep(0.1)
        else:
            return
    raise ServerUnavailableError(f"mlflow server did not answer within {START_SECONDS} s")
