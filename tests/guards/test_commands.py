"""What README and reference say about commands is what there is."""

import re
from pathlib import Path

from lorasdk.cli.app import app

ROOT = Path(__file__).parents[2]


def test_every_verb_is_described_and_no_other():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    described = re.findall(r"^\| `lorasdk (\w+)", page, re.MULTILINE)
    assert described == [command.callback.__name__ for command in app.registered_commands if command.callback]


def test_the_two_commands_of_the_readme_bring_their_own_pinned_set_up():
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [command.split(".venv/bin/")[-1] for command in commands] == ["lorasdk demo", "pytest"]
    # torch by itself comes first: together with the rest, pip would look for newer builds of it elsewhere.
    assert all(re.search(r"install -q -c constraints\.txt torch && ", command) for command in commands)


def test_constraints_pin_exact_public_versions():
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[\w.]+", line)] == []
    assert "torch==2.13.0" in lines
