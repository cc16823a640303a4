"""Points at what makes a text no YAML: the line, a caret under the column, and the usual cause."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lorasdk.errors import Problem

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

MAX_SHOWN = 100
"""Characters of a line that are shown."""
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_SECRET = re.compile(r"""((?:\btoken|secret|password|api_?key)["']?\s*[:=]\s*).*|\bhf_\w+""", re.IGNORECASE)


def unreadable_character(text: str, name: str) -> Problem | None:
    """Find the first character that YAML and JSON forbid, such as a NUL."""
    match = _UNPRINTABLE.search(text)
    if match is None:
        return None
    before = _LINE_END.split(text[: match.start()])
    return Problem(
        code="recipe.syntax",
        message=f"the character U+{ord(match[0]):04X} is not allowed in a text file",
        place=f"{name}:{len(before)}:{len(before[-1]) + 1}",
        found=repr(match[0]),
        fix="remove it, or write it as an escape inside double quotes",
    )


def syntax_problem(error: Exception, text: str, name: str) -> Problem:
    """Tell the parser's complaint with the line it is about; secrets in that line are left out."""
    from ruamel.yaml.error import MarkedYAMLError

    mark = _mark(error) if isinstance(error, MarkedYAMLError) else None
    if mark is None or not isinstance(error, MarkedYAMLError):
        return Problem("recipe.syntax", "the text is not YAML", name, fix="compare it with a recipe that works")
    lines = _LINE_END.split(text)
    first = error.context_mark.line if error.context_mark else mark.line
    tab = _tab_indentation(lines, max(first, mark.line - 1), mark.line)
    if tab is not None:
        return Problem(
            code="recipe.tab",
            message=f"tab at line {tab + 1}; YAML is indented with spaces",
            place=f"{name}:{tab + 1}:{lines[tab].index(chr(9)) + 1}",
            found=_caret(lines[tab], lines[tab].index("\t")),
            fix="replace each tab by two spaces",
        )
    reason = " ".join(str(part) for part in (error.context, error.problem) if part)
    return Problem(
        code="recipe.syntax",
        message=f"syntax error: {_SECRET.sub('…', reason)}",
        place=f"{name}:{mark.line + 1}:{mark.column + 1}",
        found=_caret(lines[mark.line] if mark.line < len(lines) else "", mark.column),
        fix="look at this line and the one before it: a missing quote, bracket, colon or space?",
    )


def _mark(error: MarkedYAMLError) -> Any:  # noqa: ANN401 - ruamel's marks are untyped
    # What is never closed is noticed at the end of the text, but has to be mended where it was opened.
    unclosed = "end of stream" in str(error.problem) or "<stream end>" in str(error.problem)
    return error.context_mark if unclosed and error.context_mark else error.problem_mark or error.context_mark


def _tab_indentation(lines: list[str], first: int, last: int) -> int | None:
    return next((i for i in range(last, first - 1, -1) if i < len(lines) and re.match(r" *\t", lines[i])), None)


def _caret(line: str, column: int) -> str:
    """The line with a caret under `column`, cut to a width that fits a terminal."""
    start = max(0, column - MAX_SHOWN // 2)
    shown = _SECRET.sub(r"\1…", line.replace("\t", " "))[start : start + MAX_SHOWN]
    return f"\n        {shown}\n        {' ' * (column - start)}^"
