"""Real signals to real programs: what a terminal, a supervisor or a cloud does to `lorasdk train`."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_training import ROWS, tiny_recipe

COMMAND = [sys.executable, "-m", "lorasdk", "train"]
STUCK = """
import sys, time
from lorasdk.cli import main
from lorasdk.engine import loop
real = loop.learning_rate
def stuck(section, step, total):
    if step == 3:
        print("stuck", file=sys.stderr, flush=True)
        time.sleep(60)
    return real(section, step, total)
loop.learning_rate = stuck
main(sys.argv[1:])
"""


@pytest.fixture
def recipe(tiny_model_dir: Path, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    endless = {"max_steps": 1_000_000, "checkpoint_every_steps": 1_000_000}
    written = tiny_recipe(tiny_model_dir, tmp_path / "runs", training=endless)
    (tmp_path / "recipe.json").write_text(json.dumps(written))
    return tmp_path / "recipe.json"


@contextmanager
def program(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A program of its own, gone after the block in any case."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*map(str, arguments)], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(text: str, process: subprocess.Popen[str]) -> str:
    said = ""
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def adapters(recipe: Path) -> list[Path]:
    return list((recipe.parent / "runs").glob("tiny/run-*/adapter/lorasdk.json"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_X60_X61_one_signal_saves_what_was_learnt(recipe: Path, number: signal.Signals, code: int):
    with program(*COMMAND, recipe, "--json") as process:
        wait_for("training 1/", process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["stopped"]) == (code, "requested")
    assert "stopping after this micro-batch" in err
    assert "Traceback" not in err
    assert len(adapters(recipe)) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_X60_X61_a_second_signal_does_not_wait(recipe: Path, number: signal.Signals, code: int):
    with program(sys.executable, "-c", STUCK, "train", recipe) as process:
        wait_for("stuck", process)
        process.send_signal(number)
        wait_for("stopping after this micro-batch", process)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    assert adapters(recipe) == []
