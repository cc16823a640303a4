"""Builds the documentation's site, and serves a folder to a browser on this machine."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
"""Every page's source, relative to the folder of the documentation."""


def address(source: Path) -> str:
    """Where the page of a source stands in the site: ``a/b.md`` at ``a/b/``, ``a/index.md`` at ``a/``."""
    folder = source.parent if source.stem == "index" else source.with_suffix("")
    return "" if folder == Path() else f"{folder.as_posix()}/"


def build_site(folder: Path) -> str:
    """Write the site; gives what the builder warns of."""
    # Not --quiet, which keeps warnings from --strict, too.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    return "\n".join(line for line in lines if done.returncode or not line.startswith(("INFO", "DEBUG")))


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Tests tell what they saw; nothing is printed."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The folder's address for as long as the context is open."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Silent, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
