"""What does it cost to find 20 installed plugins? Each time in a new Python, since a process looks once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

PLUGINS = 20
ROUNDS = 15
KINDS = ("loader", "evaluator", "source", "observer")
README = "A plugin, described at some length. " * 300
"""As long as those of published packages: metadata files hold it."""

LOOK = """
import json, sys, time
import lorasdk
from importlib.metadata import entry_points
entry_points(group="nobody")  # what is in the file system's cache is there for both
began = time.perf_counter()
manager = lorasdk.build_manager()
took = time.perf_counter() - began
imported = [name for name in sys.modules if name.startswith("lorasdk_bench")]
print(json.dumps({"seconds": took, "entries": len(manager.entries), "imported": imported}))
"""


def measure(*, tell: Callable[[str], None]) -> None:
    """Tell how long a manager takes without plugins and with 20, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PLUGINS):
            _install(Path(folder), f"lorasdk-bench-{number:02}", KINDS[number % len(KINDS)])
        without, found = [], []
        for _ in range(ROUNDS):
            without.append(_look(path=""))
            found.append(_look(path=folder))
    added = [more["seconds"] - less["seconds"] for more, less in zip(found, without, strict=True)]
    tell(f"build_manager() without plugins: {_ms([each['seconds'] for each in without])}")
    tell(f"with {PLUGINS} installed: {_ms([each['seconds'] for each in found])}; added: {_ms(added)}")
    tell(f"entries found: {found[0]['entries']}; plugins imported: {len(found[0]['imported'])}")


def _look(path: str) -> dict:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), path]))}
    command = [sys.executable, "-c", LOOK]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def _install(folder: Path, name: str, kind: str) -> None:
    module = name.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (folder / f"{module}.py").write_text("raise ImportError('imported')\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n{README}\n")
    (info / "entry_points.txt").write_text(f"[lorasdk]\n{kind}.{name} = {module}:plugin\n")


def _ms(seconds: list[float]) -> str:
    return f"{median(seconds) * 1e3:.1f} ms ({min(seconds) * 1e3:.1f} to {max(seconds) * 1e3:.1f})"
