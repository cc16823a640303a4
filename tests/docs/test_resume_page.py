"""The tutorial about a crash: its files, a real kill, and the bits that it promises."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titled_files import Tutorial

PAGE = Tutorial.named("resume.md")
FINGERPRINT = re.compile(r"^[0-9a-f]{64}$", re.MULTILINE)


@contextmanager
def program(folder: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "train.py", name]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(folder: Path, name: str) -> list[str]:
    with program(folder, name) as process:
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return printed.splitlines()


def lines_until_killed(folder: Path, name: str, last: str) -> list[str]:
    printed = []
    with program(folder, name) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line.rstrip())
            if line.startswith(last):
                process.kill()
                break
    return printed


def told(lines: list[str]) -> list[str]:
    """Without what another model computes otherwise."""
    return [re.sub(r"loss \d+\.\d{4}$|^[0-9a-f]{64}$", "…", line) for line in lines]


def test_a_run_that_is_killed_goes_on_to_the_same_bits_and_prints_what_is_shown(tiny_model_dir: Path, tmp_path: Path):
    PAGE.write_files(tmp_path, model_dir=tiny_model_dir)
    quiet, killed, listed, again = (shown.splitlines() for _, shown in PAGE.blocks("text"))
    undisturbed = lines_of(tmp_path, "quiet")
    last = killed[-1].partition(":")[0]
    before = lines_until_killed(tmp_path, "killed", last)
    left = sorted(path.name for path in tmp_path.glob("runs/killed/run-0001/[!.]*"))
    after = lines_of(tmp_path, "killed")
    assert undisturbed[-1] == after[-1]
    assert set(after[1:]) <= set(undisturbed)
    assert told(undisturbed) == told(quiet)
    assert told(before) == told(killed)
    assert told(after[1:]) == told(again[1:])
    assert [int(line.split()[-1]) % 20 for line in (after[0], again[0])] == [0, 0]
    assert left == listed[1 : listed.index("")]


def test_the_page_shows_one_fingerprint_twice():
    first, second = FINGERPRINT.findall(PAGE.text)
    assert first == second
