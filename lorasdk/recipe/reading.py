"""Reads YAML 1.2 and JSON into plain data and remembers where everything stood. Data only: no tags, no code.

The parser is ruamel.yaml's. Its events are composed here, so that duplicate keys and tags are found all at once with
their places, and so that nesting and alias bombs are refused before they unfold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorasdk.errors import Problem, RecipeError
from lorasdk.recipe.recipe import Location
from lorasdk.recipe.scalars import plain_scalar
from lorasdk.recipe.syntax import syntax_problem, unreadable_character

if TYPE_CHECKING:
    from ruamel.yaml.events import Event

MAX_CHARACTERS = 256 * 1024
"""Length of a recipe's text; real ones have a few thousand characters."""
MAX_DEPTH = 30
"""Nesting of a recipe; real ones need about six."""
MAX_VALUES = 10_000
"""Values after aliases are expanded."""


@dataclass(slots=True)
class Document:
    """Plain data with the place of each key and value."""

    data: object
    """Mappings, lists and scalars."""
    keys: dict[Location, str] = field(default_factory=dict)
    """``file:line:column`` of each mapping key."""
    values: dict[Location, str] = field(default_factory=dict)
    """``file:line:column`` of each value."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A value with its place; an alias is the same node again."""

    value: Any
    place: str
    keys: dict[str, str] = field(default_factory=dict)
    size: int = 1


def read_document(text: str, *, name: str) -> Document:
    """Parse one YAML 1.2 or JSON document.

    Args:
        text: the whole document.
        name: what places begin with, usually the file's path.

    Raises:
        RecipeError: a syntax error, or all duplicate keys and tags, or too deep or too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(too_large(name, f"longer than {MAX_CHARACTERS} characters"))
    text = text.removeprefix("\ufeff")
    if problem := unreadable_character(text, name):
        raise RecipeError(problem)
    composer = _Composer(name, _events(_with_spaces(text), name))
    root = composer.document()
    if composer.problems:
        raise RecipeError(*composer.problems)
    document = Document(None)
    if root is not None:
        document.data = _unfold(root, (), document)
    return document


def too_large(place: str, what: str) -> Problem:
    """The problem of a recipe that is no recipe by its size."""
    return Problem(
        "recipe.too-large", f"the recipe is {what}", place, fix="a recipe is short; put rows into data files"
    )


def _with_spaces(text: str) -> str:
    """JSON is indented with tabs as often as with spaces, but YAML knows only spaces."""
    if not text.lstrip().startswith("{"):
        return text
    return re.sub(r"^[ \t]+", lambda match: " " * len(match[0]), text, flags=re.MULTILINE)


def _events(text: str, name: str) -> Iterator[Event]:
    from ruamel.yaml import YAML

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except Exception as error:  # noqa: BLE001 - the scanner also fails with bare ValueError, IndexError, AssertionError
        # Not chained: ruamel's message quotes whole lines, and one of them may hold a secret.
        raise RecipeError(syntax_problem(error, text, name)) from None


@dataclass(slots=True)
class _Composer:
    """Makes nodes from events, collecting what a recipe may not contain."""

    name: str
    events: Iterator[Event]
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, _Node] = field(default_factory=dict)

    def document(self) -> _Node | None:
        root = None
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                self._check_start(event, first=root is None)
                root = self.node(next(self.events), ())
        return root

    def node(self, event: Any, location: Location) -> _Node:  # noqa: ANN401 - ruamel's events share no typed attributes
        kind, place = type(event).__name__, self._place(event)
        if kind == "AliasEvent":
            return self._alias(event, place, location)
        if len(location) > MAX_DEPTH:
            raise RecipeError(too_large(place, f"nested more than {MAX_DEPTH} deep"))
        if event.tag is not None and not (kind == "ScalarEvent" and event.tag == "!"):
            self._refuse_tag(event.tag, place, location)
        if kind == "ScalarEvent":
            node = _Node(plain_scalar(event.value) if event.implicit[0] else self._text(event, location), place)
        else:
            node = (self._mapping if kind == "MappingStartEvent" else self._list)(place, location)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _mapping(self, place: str, location: Location) -> _Node:
        children: dict[str, _Node] = {}
        keys: dict[str, str] = {}
        size = 1
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            key = self._key(event, location)
            if key in keys:
                self._report_duplicate((*location, key), self._place(event), keys[key])
            keys.setdefault(key, self._place(event))
            child = self.node(next(self.events), (*location, key))
            children.setdefault(key, child)
            size = self._grown(size, child, place)
        return _Node(children, place, keys, size)

    def _list(self, place: str, location: Location) -> _Node:
        children: list[_Node] = []
        size = 1
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            children.append(self.node(event, (*location, len(children))))
            size = self._grown(size, children[-1], place)
        return _Node(children, place, {}, size)

    def _grown(self, size: int, child: _Node, place: str) -> int:
        if size + child.size > MAX_VALUES:
            raise RecipeError(too_large(place, f"larger than {MAX_VALUES} values, each alias counted in full"))
        return size + child.size

    def _key(self, event: Any, location: Location) -> str:  # noqa: ANN401
        if type(event).__name__ == "ScalarEvent" and event.tag is None:
            return self._text(event, location)
        node = self.node(event, (*location, "?"))
        if not isinstance(node.value, dict | list):
            return str(node.value)
        fix = "write a word before the colon"
        self._report("recipe.key-not-text", "a key must be a text", node.place, fix, location)
        return "?"

    def _text(self, event: Any, location: Location) -> str:  # noqa: ANN401
        try:
            # JSON writes characters beyond U+FFFF as two escapes, which belong together.
            return str(event.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            fix = "write the character itself"
            self._report("recipe.syntax", "half of a surrogate pair is no character", self._place(event), fix, location)
            return "?"

    def _alias(self, event: Any, place: str, location: Location) -> _Node:  # noqa: ANN401
        if event.anchor in self.anchors:
            return self.anchors[event.anchor]
        # Also an alias inside what it refers to, which would never end: an anchor counts once its value is complete.
        fix = "anchor the value with & before it is used"
        self._report(
            "recipe.unknown-alias", f"no value before this one is called &{event.anchor}", place, fix, location
        )
        return _Node(None, place)

    def _check_start(self, event: Any, *, first: bool) -> None:  # noqa: ANN401
        if not first:
            fix = "keep one document to a file: delete the line '---' and what follows"
            self._report("recipe.several-documents", "a second document begins here", self._place(event), fix)
        if event.version is not None and tuple(event.version) != (1, 2):
            written = ".".join(map(str, event.version))
            self._report(
                "recipe.yaml-version",
                f"a recipe is YAML 1.2, not {written}",
                self._place(event),
                "delete the %YAML line",
            )

    def _refuse_tag(self, tag: str, place: str, location: Location) -> None:
        self.problems.append(
            Problem(
                code="recipe.tag",
                message="a recipe is data and cannot name types or code",
                place=place,
                field=".".join(map(str, location)),
                found=str(tag)[:80],
                allowed="plain mappings, lists, texts, numbers, true, false and null",
                fix="remove the tag; quote the value if it is meant as text",
            )
        )

    def _report_duplicate(self, location: Location, place: str, first: str) -> None:
        message = f"the key {location[-1]!r} stands twice; it stood first at {first}"
        self._report("recipe.duplicate-key", message, place, "delete one of the two", location)

    def _report(self, code: str, message: str, place: str, fix: str, location: Location = ()) -> None:
        self.problems.append(Problem(code, message, place, ".".join(map(str, location)), fix=fix))

    def _place(self, event: Any) -> str:  # noqa: ANN401
        return f"{self.name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"


def _unfold(node: _Node, location: Location, document: Document) -> object:
    """Turn nodes into plain data, each alias into data of its own, and note the places."""
    document.values[location] = node.place
    if isinstance(node.value, dict):
        document.keys.update({(*location, key): place for key, place in node.keys.items()})
        return {key: _unfold(child, (*location, key), document) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_unfold(child, (*location, i), document) for i, child in enumerate(node.value)]
    return node.value
