"""What README and reference say about commands is what there is."""

import re
from pathlib import Path

import typer

from lorasdk.cli.app import app

ROOT = Path(__file__).parents[2]


def test_every_verb_is_described_and_no_other():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    described = re.findall(r"^\| `lorasdk ([a-z]+(?: [a-z]+)*)", page, re.MULTILINE)
    assert len(described) == len(set(described))
    assert set(described) == {" ".join(words) for words in verbs(typer.main.get_command(app))}


def verbs(group) -> list[tuple[str, ...]]:
    inner = {name: verbs(verb) if isinstance(verb, type(group)) else [] for name, verb in group.commands.items()}
    return [words for name, below in inner.items() for words in [(name,), *((name, *more) for more in below)]]


def test_the_two_commands_of_the_readme_bring_their_own_pinned_set_up():
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [command.split(".venv/bin/")[-1] for command in commands] == ["lorasdk demo", "pytest"]
    # torch by itself comes first: together with the rest, pip would look for newer builds of it elsewhere.
    assert all(re.search(r"install -q -c constraints\.txt torch && ", command) for command in commands)


def test_constraints_pin_exact_public_versions():
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[\w.]+", line)] == []
    assert "torch==2.13.0" in lines
