"""Writes what to do about each error into the tables of docs/reference/errors.md: ``python docs/error_cures.py``.

Where the code states the remedies of an error as plain texts, these stand in the table. Where it puts them together
from what it found, or where they reach it by another way, the last column is written by hand and left as it is.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "errors.md"
HEAD, RULE = "| code | what is wrong | what to do |", "|---|---|---|"
ROW = re.compile(r"^\| `(?P<code>[a-z0-9.-]+)` \| (?P<cause>.*?) \|(?: (?P<cure>.*) \|| \|)?$", re.MULTILINE)


def stated_cures(package: Path) -> dict[str, str]:
    """For each code, the remedies in the code; only of codes all of whose remedies are plain texts."""
    found: dict[str, list[str | None]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (code := _code(node)):
                found[code].extend(_text(word.value) for word in node.keywords if word.arg == "fix")
    return {
        code: "; or: ".join(dict.fromkeys(_as_markdown(fix) for fix in fixes))
        for code, fixes in found.items()
        if fixes and None not in fixes
    }


def _code(call: ast.Call) -> str | None:
    named = [word.value for word in call.keywords if word.arg == "code"]
    return next(filter(None, map(_text, [*named, *call.args[:1]])), None)


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _as_markdown(text: str) -> str:
    """The text as it is, outside of backticks, where Markdown would see marks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_\[\]{}\\])", r"\\\1", part).replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts).replace("|", r"\|")


def with_cures(page: str, cures: Mapping[str, str]) -> str:
    """The page with every remedy that the code states."""

    def row(match: re.Match[str]) -> str:
        return f"| `{match['code']}` | {match['cause']} | {cures.get(match['code'], match['cure'] or '')} |"

    return ROW.sub(row, page.replace("| code | what is wrong |\n|---|---|\n", f"{HEAD}\n{RULE}\n"))


def without_cure(page: str) -> list[str]:
    """Codes whose row says not yet what to do."""
    return [row["code"] for row in ROW.finditer(page) if not (row["cure"] or "").strip()]


if __name__ == "__main__":
    PAGE.write_text(with_cures(PAGE.read_text("utf-8"), stated_cures(ROOT / "lorasdk")), "utf-8")
