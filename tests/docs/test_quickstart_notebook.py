"""The quickstart notebook, cell by cell, with a stand-in for the part of IPython that shows things.

On the tiny model what is told and shown is of the kind that the file keeps; on the embedded model it says the same.
"""

import io
import json
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from headless_browser import Page
from one_job import DOCS
from titled_files import Tutorial

from lorasdk import LocatedModel
from lorasdk.builtin.package_source import PackageSource

NOTEBOOK = DOCS / "notebooks" / "quickstart.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
Shown = list[tuple[str, str]]
"""Kinds and texts of what a cell shows, in order."""


@dataclass(frozen=True)
class Rich:
    """Something that is more than text: ``text/html`` or ``text/markdown``."""

    kind: str
    data: str


@dataclass
class Screen:
    """What cells have shown; a handle replaces what it has shown before."""

    shown: Shown = field(default_factory=list)

    def display(self, thing: Rich, *, display_id: bool = False) -> "Handle | None":
        self.shown.append((thing.kind, thing.data))
        return Handle(self.shown, len(self.shown) - 1) if display_id else None

    def module(self) -> ModuleType:
        module = ModuleType("IPython.display")
        module.HTML = lambda data: Rich("text/html", data)
        module.Markdown = lambda data: Rich("text/markdown", data)
        module.display = self.display
        return module


@dataclass(frozen=True)
class Handle:
    shown: Shown
    place: int

    def update(self, thing: Rich) -> None:
        self.shown[self.place] = (thing.kind, thing.data)


def kept(cell: dict[str, Any]) -> Shown:
    return [_kept(output) for output in cell["outputs"]]


def _kept(output: dict[str, Any]) -> tuple[str, str]:
    if output["output_type"] == "stream":
        return output["name"], "".join(output["text"])
    (kind,) = output["data"].keys() & {"text/html", "text/markdown"}
    return kind, "".join(output["data"][kind])


def run_cells(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    screen, names = Screen(), {}
    ipython = ModuleType("IPython")
    ipython.version_info = (9, 0, 0)  # matplotlib looks at it
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", screen.module())
    cells = []
    for number, cell in enumerate(CELLS, start=1):
        screen.shown.clear()
        with redirect_stdout(io.StringIO()) as printed:
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
        told = [("stdout", printed.getvalue())] if printed.getvalue() else []
        cells.append([*screen.shown, *told])
    return cells


def test_cells_show_what_the_file_keeps_but_for_what_another_model_says(tiny_model_dir: Path, tmp_path, monkeypatch):
    tiny = LocatedModel(tiny_model_dir, "folder", "package:tiny")
    monkeypatch.setattr(PackageSource, "check", lambda _self, _request: [])
    monkeypatch.setattr(PackageSource, "locate", lambda _self, _request: tiny)
    monkeypatch.chdir(tmp_path)
    seen = run_cells(monkeypatch)
    rows, preview, training, _score, markdown, frame, _asked = seen
    wanted = [kept(cell) for cell in CELLS]
    assert [[kind for kind, _ in cell] for cell in seen] == [[kind for kind, _ in cell] for cell in wanted]
    assert (rows, training) == (wanted[0], wanted[2])
    assert preview[0][1].splitlines()[1:] == wanted[1][0][1].splitlines()[1:]
    for page, title in ((markdown, "# orders: did it"), (frame, "&lt;title&gt;orders: did it get better?")):
        assert title in page[0][1]
    assert "# orders: did it" in wanted[4][0][1]


@pytest.mark.real
@pytest.mark.usefixtures("embedded_model_source")
def test_the_embedded_model_becomes_better_and_answers_as_the_file_says(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = run_cells(monkeypatch)
    wanted = [kept(cell) for cell in CELLS]
    assert (seen[1], seen[2]) == (wanted[1], wanted[2])
    assert seen[3][0][1].rpartition(": ")[2] == wanted[3][0][1].rpartition(": ")[2] == "better\n"
    assert seen[6] == wanted[6]


def test_the_file_has_no_traces_of_a_kernel_or_a_machine():
    assert [cell["execution_count"] for cell in CELLS] == [None] * len(CELLS)
    text = NOTEBOOK.read_text("utf-8")
    assert re.findall(r"/(?:home|tmp|work|root)/", text) == []


def test_the_kept_report_shows_in_its_frame(browser: Page, tmp_path: Path):
    ((_, frame),) = kept(CELLS[5])
    (tmp_path / "viewer.html").write_text(f"<!DOCTYPE html><meta charset=utf-8>{frame}", "utf-8")
    browser.look(width=1000)
    browser.open(tmp_path / "viewer.html")
    heading = "document.querySelector('iframe').contentDocument.querySelector('h1').textContent"
    assert browser.value(heading) == "orders: did it get better?"


def test_cells_on_the_page_are_those_of_the_notebook():
    sources = ["".join(cell["source"]) + "\n" for cell in CELLS]
    pieces = Tutorial.named("notebook.md").pieces("a cell")
    assert len(pieces) == 3
    assert set(pieces) <= set(sources)
