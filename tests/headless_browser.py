"""Opens a page in a browser without a screen and tells what happened; spoken to in Chrome's DevTools protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from debian_chromium import Chromium, NoBrowserError
from websocket import WebSocket, create_connection

START_SECONDS, ANSWER_SECONDS = 40, 40
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it needs rights that an unpacked program does not have; only our own pages are opened
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # what a test itself serves
    "--font-render-hinting=none",
    "--remote-debugging-port=0",
)
MIDDLE = "const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2"
UNDER = f"e && (() => {{ {MIDDLE}; const top = document.elementFromPoint(x, y); return top && e.contains(top) }})()"
"""Whether the element, and nothing over it, is where a click on its middle goes."""


@dataclass
class Page:
    """A tab, and what it said."""

    socket: WebSocket
    session: str
    said: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0

    def ask(self, method: str, **values: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept."""
        self._count += 1
        self.socket.send(json.dumps({"id": self._count, "sessionId": self.session, "method": method, "params": values}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self._count and message.get("sessionId") == self.session:
                assert "error" not in message, message["error"]
                return message["result"]
            self.said.append(message)

    def of(self, method: str) -> list[dict[str, Any]]:
        """What came of one kind of event."""
        return [message["params"] for message in self.said if message.get("method") == method]

    def look(self, *, width: int, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """Set the window's size and what its user prefers."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        preference = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[preference])

    def open(self, address: Path | str) -> None:
        """Open a file or an address and wait until all of it is loaded."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.said.clear()
        self.ask("Page.navigate", url=address if isinstance(address, str) else address.absolute().as_uri())
        self.wait_for_load()

    def wait_for_load(self) -> None:
        """Wait until a page is loaded; what was said before counts."""
        while not self.of("Page.loadEventFired"):
            self.said.append(json.loads(self.socket.recv()))

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def wait_until(self, expression: str) -> None:
        """Ask until an expression is true."""
        end = time.monotonic() + ANSWER_SECONDS
        while not self.value(expression):
            assert time.monotonic() < end, f"never came true: {expression}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element, once it stands still and nothing lies over it."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait_until(f"(() => {{ const e = {found}; e?.scrollIntoView({{block: 'nearest'}}); return {UNDER} }})()")
        place = before = None
        while place is None or place != before:
            before, place = place, self.value(f"(() => {{ const e = {found}; {MIDDLE}; return [x, y] }})()")
            time.sleep(0.05)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)

    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        return [each["request"]["url"] for each in self.of("Network.requestWillBeSent")]

    def complaints(self) -> list[object]:
        """Everything on the console."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [complaint for kind in kinds for complaint in self.of(kind)]

    def screenshot(self, path: Path, *, height: int | None = None) -> None:
        """Save what the page looks like: all of it, or its upper part."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        taken = self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def open_browser(chromium: Chromium) -> Iterator[Page]:
    """Start the browser with one empty tab; it is gone afterwards.

    Raises:
        NoBrowserError: it does not start.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        with log.open("wb") as complaints:
            process = subprocess.Popen(
                [str(chromium.path), *FLAGS, f"--user-data-dir={folder}/profile", "about:blank"],
                env=chromium.environment | {"HOME": folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            )
        try:
            socket = create_connection(
                address(process, Path(folder), log), suppress_origin=True, timeout=ANSWER_SECONDS
            )
            try:
                yield first_tab(socket)
            finally:
                socket.close()
        finally:
            process.kill()
            process.wait()


def address(process: subprocess.Popen[bytes], folder: Path, log: Path) -> str:
    """Where the browser listens, which it writes down once it does."""
    written = folder / "profile" / "DevToolsActivePort"
    end = time.monotonic() + START_SECONDS
    while not (written.is_file() and written.read_text().count("\n")):
        if process.poll() is not None or time.monotonic() > end:
            raise NoBrowserError(f"Chromium does not start: {log.read_text(errors='replace').strip()[-300:]}")
        time.sleep(0.05)
    port, path = written.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"


def first_tab(socket: WebSocket) -> Page:
    def ask(number: int, method: str, **values: object) -> dict[str, Any]:
        socket.send(json.dumps({"id": -number, "method": method, "params": values}))
        while (message := json.loads(socket.recv())).get("id") != -number:
            pass
        return message["result"]

    target = ask(1, "Target.createTarget", url="about:blank")["targetId"]
    session = ask(2, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    return Page(socket, session)
