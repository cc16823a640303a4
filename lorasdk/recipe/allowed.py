"""Says in plain words what may stand in a field, read off the schema, so that the words cannot drift from the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel

from lorasdk.recipe.recipe import Location

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a model allows, field by field."""

    root: Schema
    """The model's JSON Schema."""

    @classmethod
    def by(cls, model: type[BaseModel]) -> Self:
        """Read it off `model`."""
        return cls(model.model_json_schema())

    def keys(self, location: Location) -> list[str]:
        """Keys that the mapping at `location` may have, the component's own options left out."""
        return sorted({key for node in self._nodes(location) for key in node.get("properties", {})})

    def choices(self, location: Location) -> list[str]:
        """The texts that may stand at `location`, when they are listed."""
        return [str(choice) for node in self._nodes(location) for choice in node.get("enum", [])]

    def words(self, location: Location) -> str:
        """What may stand at `location`, such as ``a whole number from 1 to 4096``."""
        return ", or ".join(dict.fromkeys(_words(node, self) for node in self._nodes(location)))

    def secret(self, location: Location) -> bool:
        """Whether the field at `location` is declared secret."""
        return any(node.get("format") == "password" for node in self._nodes(location))

    def locations(self) -> Iterator[Location]:
        """Every field with a name of its own, the outer before the inner, without items of lists."""
        waiting: list[Location] = [(key,) for key in self.keys(())]
        for location in waiting:
            yield location
            waiting += [(*location, key) for key in self.keys(location)]

    def alternatives(self, node: Schema) -> list[Schema]:
        """The node itself, or the members of the union it stands for."""
        if "$ref" in node:
            return self.alternatives(self.root["$defs"][node["$ref"].removeprefix("#/$defs/")])
        members = node.get("anyOf") or node.get("oneOf")
        return [inner for member in members for inner in self.alternatives(member)] if members else [node]

    def _nodes(self, location: Location) -> list[Schema]:
        nodes = self.alternatives(self.root)
        for part in location:
            nodes = [inner for node in nodes for child in _children(node, part) for inner in self.alternatives(child)]
        return nodes


def _children(node: Schema, part: str | int) -> list[Schema]:
    if isinstance(part, int):
        return [node["items"]] if "items" in node else []
    if part in node.get("properties", {}):
        return [node["properties"][part]]
    extra = node.get("additionalProperties")
    return [extra] if isinstance(extra, dict) else []


def _words(node: Schema, allowed: Allowed) -> str:
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return ", ".join(map(str, node["enum"]))
    kind = str(node.get("type"))
    if kind in {"integer", "number"}:
        return ("a whole number" if kind == "integer" else "a finite number") + _range(node)
    if kind == "array":
        return _list(node, allowed)
    if kind == "string":
        return _text(node)
    names = {"boolean": "true or false", "null": "null", "object": "a mapping"}
    return names.get(kind, "any value")


def _text(node: Schema) -> str:
    if "pattern" not in node:
        return "a text"
    examples = ", ".join(map(str, node.get("examples", [])))
    return f"a text that matches {node['pattern']}" + (f", such as {examples}" if examples else "")


def _list(node: Schema, allowed: Allowed) -> str:
    least = f"at least {node['minItems']} long, " if node.get("minItems") else ""
    members = allowed.alternatives(node["items"]) if "items" in node else []
    inner = " or ".join(dict.fromkeys(_words(member, allowed) for member in members)) or "any value"
    return f"a list ({least}each item {inner})"


def _range(node: Schema) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = [("of at least", low), ("above", above), ("of at most", high), ("below", below)]
    words = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
    return f" {words.replace('and of', 'and')}" if words else ""
