"""The plugin tutorial, typed block by block into an empty folder and a new virtual environment.

A block with a title is a file, or is added to one; a shell block is run; a text block right after it shows lines of
what it prints. The environment is new but for this one's libraries, which it sees: to copy them would take minutes.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins" / "tutorial.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ENVIRONMENT = {"python3 -m venv .venv", ". .venv/bin/activate", "pip install lorasdk pytest"}
"""What the test does in its own way."""


class Terminal:
    """A shell with a folder and an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.printed = folder, folder, ""
        self.run(f"{shlex.quote(sys.executable)} -m venv .venv")
        (packages,) = folder.glob(".venv/lib/*/site-packages")
        (packages / "libraries_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.run(f"pip install -q --no-deps -e {shlex.quote(str(ROOT))}")

    def run(self, line: str) -> None:
        if line.startswith("cd "):
            self.folder = (self.folder / line.removeprefix("cd ")).resolve()
            return
        command, _, remark = line.partition("  # exits with ")
        path = os.pathsep.join([str(self.home / ".venv" / "bin"), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "COLUMNS": "200", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == int(remark or 0), (command, done.stdout, done.stderr)
        self.printed += done.stdout + done.stderr

    def write(self, title: str, text: str) -> None:
        name, _, heading = title.partition(", under ")
        path = self.folder / name
        if heading:
            before, found, after = path.read_text().partition(f"{heading}\n")
            assert found
            text = before + found + text + after
        path.write_text(text)


def shown_in_order(shown: str, printed: str) -> bool:
    lines = iter(" ".join(line.split()) for line in printed.splitlines())
    return all(" ".join(line.split()) in lines for line in shown.splitlines())


@pytest.mark.real
@pytest.mark.usefixtures("embedded_model_source")
def test_the_tutorial_goes_from_nothing_to_an_installed_plugin(tmp_path: Path):
    terminal = Terminal(tmp_path)
    for language, title, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if title:
            terminal.write(title, text)
        elif language == "sh":
            terminal.printed = ""
            for line in text.splitlines():
                if line not in ENVIRONMENT:
                    terminal.run(line)
        elif language == "text":
            assert shown_in_order(text, terminal.printed), (text, terminal.printed)
    assert list(tmp_path.glob("runs/**/adapter/lorasdk.json"))
