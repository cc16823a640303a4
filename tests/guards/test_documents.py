"""Every snippet of README and docs is tried out, page by page and in order, in a folder of its own.

Python blocks run, and print what the text block right after them shows. Recipes load. Shell lines that begin with
``lorasdk`` run in the same folder as the Python before them. All of it on the tiny model, so that it takes seconds.
"""

import io
import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lorasdk import LocatedModel, load_recipe
from lorasdk.builtin.package_source import PackageSource
from lorasdk.cli import main
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.data.formats import FORMATS, choose_format
from lorasdk.recipe.schema import DataSource

ROOT = Path(__file__).parents[2]
APART = {
    ROOT / "docs" / page
    for page in ("plugins/tutorial.md", "serving.md", "tutorials/many-adapters.md", "tutorials/qlora.md")
}
"""Tried out by tests of their own: one is typed into a new environment, two need a server, one a wider model."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONG = {"demo"}
"""Commands that take minutes: they have tests of their own."""


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    shown: str | None

    @property
    def commands(self) -> list[list[str]]:
        lines = [shlex.split(line) for line in self.code.splitlines()] if self.language == "sh" else []
        return [words for words in lines if words[:1] == ["lorasdk"] and words[1] not in LONG]


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = list(BLOCK.finditer(text))
    following = [*found[1:], None] if found else []
    return [
        Block(
            language=block[1],
            code=block[2],
            line=text.count("\n", 0, block.start()) + 1,
            shown=after[2] if after and after[1] == "text" and not text[block.end() : after.start()].strip() else None,
        )
        for block, after in zip(found, following, strict=True)
    ]


def with_blocks(*languages: str) -> list[Path]:
    return [page for page in PAGES if page not in APART and {block.language for block in blocks(page)} & set(languages)]


@pytest.fixture
def playground(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    """A folder with nothing but a copy of the shipped recipes, where the embedded model is the tiny one."""
    tiny = LocatedModel(tiny_model_dir, "folder", "package:tiny")
    monkeypatch.setattr(PackageSource, "check", lambda _self, _request: [])
    monkeypatch.setattr(PackageSource, "locate", lambda _self, _request: tiny)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("playground")
@pytest.mark.parametrize("page", with_blocks("python", "sh"), ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_run_and_print_what_is_shown(page: Path, capsys):
    names: dict[str, object] = {}
    for block in blocks(page):
        capsys.readouterr()
        if block.language == "python":
            # Empty lines before it make tracebacks point into the page.
            exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
        for command in block.commands:
            with pytest.raises(SystemExit) as ended:
                main(command[1:])
            assert ended.value.code == 0, (page.name, block.line, command, capsys.readouterr().err)
        if block.shown is not None and block.language == "python":
            assert capsys.readouterr().out == block.shown


@pytest.mark.parametrize("page", with_blocks("yaml"), ids=lambda page: str(page.relative_to(ROOT)))
def test_recipes_on_a_page_are_valid(page: Path):
    for block in blocks(page):
        if block.language == "yaml":
            load_recipe({"name": "shown-in-part", **YAML(typ="safe").load(block.code)})


@pytest.mark.parametrize("page", with_blocks("jsonl"), ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_on_a_page_show_every_format_and_are_recognised(page: Path):
    rows = [json.loads(line) for block in blocks(page) if block.language == "jsonl" for line in block.code.splitlines()]
    for row in rows:
        read_examples([row], source=DataSource(), origin=page.name, bad=BadRows("error"))
    assert {choose_format("auto", row, {}, origin=page.name).name for row in rows} == FORMATS.keys()


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
