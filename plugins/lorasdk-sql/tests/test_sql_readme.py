"""The README is tried out: its blocks run in order in one folder, and its tables are those of the code."""

import ast
import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import lorasdk_sql
import pytest
from lorasdk_sql import SqlOptions

from lorasdk import FineTuner

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(python|yaml|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_work_and_print_what_is_shown(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DB_URL", "postgresql+psycopg://reader:p%40ss@db.internal/support")
    names: dict[str, object] = {}
    printed = ""
    for language, code in BLOCK.findall(README):
        if language == "python":
            with redirect_stdout(io.StringIO()) as out:
                exec(code, names)
            printed = out.getvalue()
        elif language == "yaml":
            Path("support.yaml").write_text(code)
            FineTuner.from_recipe("support.yaml")
        else:
            assert printed == code
            printed = ""
    assert printed == ""


@pytest.mark.parametrize("name", SqlOptions.model_fields)
def test_every_option_stands_in_the_table_with_its_default(name: str):
    default = SqlOptions.model_fields[name].get_default(call_default_factory=True)
    shown = "" if name in {"url", "path", "query"} else f"`{default}`"
    assert re.search(rf"^\| `{name}` \| {re.escape(shown)} ?\| ", README, re.MULTILINE)


def test_the_table_of_codes_is_complete():
    sources = (ROOT / "lorasdk_sql").glob("*.py")
    texts = [node.value for path in sources for node in ast.walk(ast.parse(path.read_text())) if is_text(node)]
    codes = {text for text in texts if re.fullmatch(r"sql\.[a-z-]+", text)}
    assert codes == set(re.findall(r"^\| `(sql\.[a-z-]+)` \|", README, re.MULTILINE))
    assert "sql.no-order" in codes


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_the_loader_is_offered_under_the_name_that_recipes_use():
    (loader,) = lorasdk_sql.plugin.data_loaders()
    assert loader.name == "sql"
