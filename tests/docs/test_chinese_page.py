"""Numbers of the Chinese page that depend on the embedded model; everything else on it runs with the snippets."""

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from lorasdk.basemodel.loading import model_folder
from lorasdk.builtin.package_source import PackageSource
from lorasdk.contracts import SourceRequest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "zh" / "index.md").read_text("utf-8")
COUNTED = "print(kinds_of_labels(rows[0]))\n"


@pytest.fixture
def embedded_model(embedded_model_source: str) -> Path:
    name = embedded_model_source.removeprefix("package:")
    return model_folder(PackageSource().locate(SourceRequest(name, None, Path.cwd(), "")))


def python_until(last_line: str) -> str:
    """The page's Python blocks up to the one that ends with this line."""
    blocks = [part.split("\n```", 1)[0] + "\n" for part in PAGE.split("```python\n")[1:]]
    count = next(number for number, block in enumerate(blocks, start=1) if block.endswith(last_line))
    return "\n".join(blocks[:count])


def text_after(line: str) -> str:
    return PAGE.split(line, 1)[1].split("```text\n", 1)[1].split("```", 1)[0]


@pytest.mark.real
def test_the_labels_that_are_counted_are_those_of_the_embedded_model(embedded_model: Path, tmp_path: Path, monkeypatch):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes", ignore=shutil.ignore_patterns("runs"))
    (tmp_path / "zh-model").symlink_to(embedded_model)
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(python_until(COUNTED), "docs/zh/index.md", "exec"), {})
    assert printed.getvalue().splitlines(keepends=True)[-1] == text_after(COUNTED)
