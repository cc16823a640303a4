"""Codes are promises: every code of an error or a notice stands in the reference, and no other."""

import ast
import re
from pathlib import Path

from lorasdk import LorasdkError
from lorasdk.recipe import Recipe
from lorasdk.recipe.allowed import Allowed

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*")
NO_CODES = re.compile(
    r"lorasdk\..*|.*\.(gguf|jinja|json|jsonl|safetensors|toml|yaml)|megatron\.core|chat\.completion|(http|uvicorn)\.[a-z]+"
)
"""Texts of the same form: modules, files, and words of protocols."""


def nodes():
    for path in sorted((ROOT / "lorasdk").rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text("utf-8")))


def written_out() -> set[str]:
    fields = {".".join(map(str, location)) for location in Allowed.by(Recipe).locations()}
    texts = {node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts - fields if CODE.fullmatch(text) and not NO_CODES.fullmatch(text)}


def put_together() -> set[str]:
    """Patterns of the codes whose middle is filled in."""
    codes = [node.value for node in nodes() if isinstance(node, ast.keyword) and node.arg == "code"]
    joined = [code.values for code in codes if isinstance(code, ast.JoinedStr)]
    return {
        "".join(re.escape(v.value) if isinstance(v, ast.Constant) else r"[a-z-]+" for v in parts) for parts in joined
    }


def documented() -> list[str]:
    pages = [(ROOT / "docs" / "reference" / name).read_text("utf-8") for name in ("errors.md", "events.md")]
    return [code for page in pages for code in re.findall(r"^\| `([a-z.0-9-]+)` \|", page, re.MULTILINE)]


def test_every_code_stands_in_the_reference():
    assert sorted(written_out() - set(documented())) == []
    assert [pattern for pattern in put_together() if not any(re.fullmatch(pattern, c) for c in documented())] == []


def test_the_reference_names_no_code_that_does_not_exist():
    patterns = put_together()
    unknown = set(documented()) - written_out()
    assert sorted(code for code in unknown if not any(re.fullmatch(pattern, code) for pattern in patterns)) == []


def test_a_code_stands_in_the_reference_once():
    assert sorted(documented()) == sorted(set(documented()))


def test_the_table_of_errors_says_parents_and_exit_codes():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\| .* \| (\d) \|$", page, re.MULTILINE)
    built_in = {kind: [base.__name__ for base in kind.__bases__[1:]] for kind in LorasdkError.__subclasses__()}
    assert rows == [(kind.__name__, "".join(parents), str(kind.exit_code)) for kind, parents in built_in.items()]
