"""The notebook of the documentation, cell by cell.

Not with nbclient: a kernel is a process and a dozen packages more, and all it adds is what stands here in a few lines.
Cells run in order, in one namespace, inside a running event loop, and a cell may await, as IPython lets it.
"""

import ast
import asyncio
import inspect
import io
import json
import signal
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from one_job import DOCS, weights

from lorasdk import FineTuner
from lorasdk.builtin.package_source import PackageSource
from lorasdk.contracts import LocatedModel

NOTEBOOK = DOCS / "notebooks" / "embedding.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


class Reader(io.StringIO):
    """Sees what is printed, and presses the stop button of a cell whose output in the notebook shows that."""

    def __init__(self, cell: dict[str, Any]) -> None:
        super().__init__()
        self._presses = shown(cell).endswith("requested\n")

    def write(self, text: str) -> int:
        if self._presses and text.startswith("step 40 "):
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def shown(cell: dict[str, Any]) -> str:
    return "".join(line for output in cell["outputs"] for line in output["text"])


async def run_cells(names: dict[str, Any]) -> None:
    for number, cell in enumerate(CELLS, start=1):
        source = "".join(cell["source"])
        code = compile(source, f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with redirect_stdout(Reader(cell)) as printed:
            done = eval(code, names)
            if inspect.iscoroutine(done):
                await done
        assert printed.getvalue() == shown(cell), number


def test_the_notebook_runs_and_prints_what_it_shows(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    tiny = LocatedModel(tiny_model_dir, "folder", "package:tiny")
    monkeypatch.setattr(PackageSource, "check", lambda _self, _request: [])
    monkeypatch.setattr(PackageSource, "locate", lambda _self, _request: tiny)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    asyncio.run(run_cells(names))
    undisturbed = FineTuner.from_recipe({**names["recipe"], "name": "alone"}, data={"train": names["rows"]}).train()
    assert weights(names["result"].run_dir / "adapter") == weights(undisturbed)
    assert weights(names["resumed"].result()) == weights(undisturbed)


def test_the_notebook_is_kept_without_traces_of_a_kernel():
    assert [cell["execution_count"] for cell in CELLS] == [None] * len(CELLS)
    assert {output["output_type"] for cell in CELLS for output in cell["outputs"]} == {"stream"}
