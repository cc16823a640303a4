"""The tutorial from three recipes to one server: its snippets, and its server as a process of its own."""

import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
from titled_files import Tutorial

from lorasdk import LocatedModel
from lorasdk.builtin.package_source import PackageSource

PAGE = Tutorial.named("many-adapters.md")
SERVER = """
import sys
from pathlib import Path
from lorasdk import LocatedModel
from lorasdk.builtin.package_source import PackageSource
from lorasdk.cli import main

PackageSource.check = lambda _self, _request: []
PackageSource.locate = lambda _self, _request: LocatedModel(Path(sys.argv[1]), "folder", "package:tiny")
main(sys.argv[2:])
"""
"""The command, with the tiny model in place of the embedded one."""


@pytest.fixture(autouse=True)
def _folder(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = LocatedModel(tiny_model_dir, "folder", "package:tiny")
    monkeypatch.setattr(PackageSource, "check", lambda _self, _request: [])
    monkeypatch.setattr(PackageSource, "locate", lambda _self, _request: tiny)
    monkeypatch.chdir(tmp_path)


@contextmanager
def served(model_dir: Path) -> Iterator[str]:
    """Address of the server that the page starts, once it says that it is there."""
    (command,) = re.findall(r"^lorasdk (serve .*)$", PAGE.text, re.MULTILINE)
    words = [sys.executable, "-c", SERVER, str(model_dir), *shlex.split(command), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}) as process:
        assert process.stderr is not None
        try:
            models, address = (next(process.stderr).strip() for _ in range(2))
            assert models.partition(", ")[2] == shown()[-1].splitlines()[0].partition(", ")[2]
            yield address.removeprefix("serving at ")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def shown() -> list[str]:
    return [text for _, text in PAGE.blocks("text")]


def printed(code: str, names: dict[str, object]) -> str:
    with redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "many-adapters.md", "exec"), names)
    return out.getvalue()


def test_snippets_run_and_the_server_answers_as_the_program_does(tiny_model_dir: Path):
    trained, answered, asked = (code for _, code in PAGE.blocks("python"))
    names: dict[str, object] = {}
    assert printed(trained, names) == shown()[0]
    answers = printed(answered, names)
    with served(tiny_model_dir) as address:
        assert printed(asked.replace("http://127.0.0.1:8000/v1", address), names) == answers
    names_shown = [line.partition(":")[0] for line in shown()[1].splitlines()]
    assert [name for name in names_shown if f"{name}: " in answers] == ["shout", "price", "plural"]
