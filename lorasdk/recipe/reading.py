"""Reads YAML 1.2 and JSON into plain data and remembers where everything stood. Data only: no tags, no code.

The parser is ruamel.yaml's; this file walks its nodes, so that duplicate keys, tags and bombs are found with their
places, all at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.recipe import Location

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

MAX_DEPTH = 40
"""Nesting of a recipe; real ones need about six."""
MAX_VALUES = 20_000
"""Values after aliases are expanded."""
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map"))


@dataclass(slots=True)
class Document:
    """Plain data with the place of each key and value."""

    data: object
    """Mappings, lists and scalars."""
    keys: dict[Location, str] = field(default_factory=dict)
    """``file:line:column`` of each mapping key."""
    values: dict[Location, str] = field(default_factory=dict)
    """``file:line:column`` of each value."""


def read_document(text: str, *, name: str) -> Document:
    """Parse one YAML 1.2 or JSON document.

    Args:
        text: the whole document.
        name: what places begin with, usually the file's path.

    Raises:
        RecipeError: a syntax error, or all duplicate keys and tags, or too deep or too large.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if text.lstrip().startswith("{"):
        # JSON is indented with tabs as often as with spaces; YAML knows only spaces.
        text = re.sub(r"^[ \t]+", lambda match: " " * len(match[0]), text, flags=re.MULTILINE)
    try:
        _refuse_depth(YAML(typ="safe", pure=True).parse(text), name)
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise RecipeError(_syntax_problem(error, text, name)) from error
    except (YAMLError, ValueError) as error:
        problem = Problem("recipe.syntax", f"the text is not YAML: {error}", name, fix="remove what the message names")
        raise RecipeError(problem) from error
    walk = _Walk(name)
    data = walk.build(node, ()) if node is not None else None
    if walk.problems:
        raise RecipeError(*walk.problems)
    return Document(data, walk.keys, walk.values)


def _refuse_depth(events: Iterator[Any], name: str) -> None:
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > MAX_DEPTH:
            raise RecipeError(_too_large(name, f"nested more than {MAX_DEPTH} deep"))


def _too_large(name: str, what: str) -> Problem:
    return Problem("recipe.too-large", f"the recipe is {what}", name, fix="a recipe is short; put rows into data files")


@dataclass(slots=True)
class _Walk:
    name: str
    problems: list[Problem] = field(default_factory=list)
    keys: dict[Location, str] = field(default_factory=dict)
    values: dict[Location, str] = field(default_factory=dict)
    count: int = 0

    def place(self, node: Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def build(self, node: Node, location: Location) -> object:
        from ruamel.yaml.nodes import MappingNode, ScalarNode

        self.count += 1
        # An alias may also stand inside what it refers to, which would never end.
        if self.count > MAX_VALUES or len(location) > MAX_DEPTH:
            raise RecipeError(_too_large(self.name, f"larger than {MAX_VALUES} values once its aliases are expanded"))
        self.values[location] = self.place(node)
        tag = str(node.tag)
        if tag not in _PLAIN_TAGS:
            self._refuse_tag(node, location, tag)
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        return [self.build(item, (*location, i)) for i, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, object]:
        data: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if key_node.id == "scalar" else "?"
            inner = (*location, key)
            if key in data:
                self._report_duplicate(key_node, inner)
            self.keys[inner] = self.place(key_node)
            data[key] = self.build(value_node, inner)
        return data

    def _report_duplicate(self, node: Node, location: Location) -> None:
        self.problems.append(
            Problem(
                code="recipe.duplicate-key",
                message=f"the key {location[-1]!r} stands twice; it stood first at {self.keys[location]}",
                place=self.place(node),
                field=".".join(map(str, location)),
                fix="delete one of the two lines",
            )
        )

    def _refuse_tag(self, node: Node, location: Location, tag: str) -> None:
        self.problems.append(
            Problem(
                code="recipe.tag",
                message="a recipe is data and cannot name types or code",
                place=self.place(node),
                field=".".join(map(str, location)),
                found=tag,
                allowed="plain mappings, lists, texts, numbers, true, false and null",
                fix="remove the tag",
            )
        )


def _scalar(node: ScalarNode) -> object:
    text = str(node.value)
    kind = str(node.tag).removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return _integer(text)
    return _real(text) if kind == "float" else text


def _integer(text: str) -> int | str:
    digits = text.replace("_", "")
    sign, body = (digits[0], digits[1:]) if digits[:1] in "+-" else ("", digits)
    base = {"0x": 16, "0o": 8, "0b": 2}.get(body[:2].lower(), 10)
    # Python refuses to convert numbers of thousands of digits; such a thing is a text with a wrong type.
    return int(sign + (body[2:] if base != 10 else body), base) if len(body) < 1000 else text  # noqa: PLR2004


def _real(text: str) -> float:
    plain = text.replace("_", "").lower()
    named = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
    return named[plain] if plain in named else float(plain)


def _syntax_problem(error: MarkedYAMLError, text: str, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem("recipe.syntax", f"the text is not YAML: {error.problem}", name)
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    tab = "\t" in line[: mark.column + 1]
    caret = f"{line.replace(chr(9), ' ')[:120]}\n           {' ' * mark.column}^"
    return Problem(
        code="recipe.syntax",
        message=f"tab at line {mark.line + 1}; YAML is indented with spaces"
        if tab
        else f"syntax error: {error.problem}",
        place=f"{name}:{mark.line + 1}:{mark.column + 1}",
        found=caret,
        fix="replace tabs by spaces" if tab else "look at this line and the one before it",
    )
