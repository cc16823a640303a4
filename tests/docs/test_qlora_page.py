"""The tutorial about QLoRA: it explains the recipe that is shipped, and what it tries on a CPU runs there."""

import io
import re
import shlex
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from one_job import DOCS
from ruamel.yaml import YAML
from tiny_model import write_tiny_model
from titled_files import Tutorial

from lorasdk import LocatedModel
from lorasdk.builtin.package_source import PackageSource
from lorasdk.cli import main

PAGE = Tutorial.named("qlora.md")
RECIPES = DOCS.parent / "recipes"


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped recipes, and a tiny model whose layers are wide enough for blocks of 64."""
    (tmp_path / "wide").mkdir()
    wide = LocatedModel(write_tiny_model(tmp_path / "wide", hidden=64), "folder", "package:tiny")
    monkeypatch.setattr(PackageSource, "check", lambda _self, _request: [])
    monkeypatch.setattr(PackageSource, "locate", lambda _self, _request: wide)
    shutil.copytree(RECIPES, tmp_path / "recipes", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(tmp_path)


def test_the_recipe_is_explained_as_it_is_shipped():
    explained = {name: value for _, code in PAGE.blocks("yaml") for name, value in YAML(typ="safe").load(code).items()}
    shipped = YAML(typ="safe").load((RECIPES / "qlora-7b.yaml").read_text("utf-8"))
    assert {"version": 1, "name": "qlora-7b", **explained} == shipped


@pytest.mark.usefixtures("_folder")
def test_commands_on_the_page_run(capsys: pytest.CaptureFixture[str]):
    commands = re.findall(r"^lorasdk (.*)$", PAGE.text, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command))
        assert ended.value.code == 0, capsys.readouterr().err
    assert list(Path("recipes/runs").glob("*/run-0001/adapter"))


@pytest.mark.usefixtures("_folder")
def test_too_little_memory_is_told_with_what_would_do():
    ((_, code),) = PAGE.blocks("python")
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(code.replace("0.1}", "0.0001}"), "qlora.md", "exec"), {})
    (_, shown), *_ = PAGE.blocks("text")
    assert without_numbers(printed.getvalue()) == without_numbers(shown)


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", text)
