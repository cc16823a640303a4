"""Says in plain words what may stand in a field, read off the schema, so that the words cannot drift from the rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from lorasdk.recipe.recipe import Location

Schema = Mapping[str, Any]


@lru_cache(maxsize=64)
def _schema_of(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def true_location(model: type[BaseModel], location: Location) -> Location:
    """Cut off what pydantic adds to a location for members of unions."""
    kept: Location = ()
    for part in location:
        if not _nodes(model, (*kept, part)):
            break
        kept = (*kept, part)
    return kept


def allowed_keys(model: type[BaseModel], location: Location) -> list[str]:
    """Keys that the mapping at `location` may have; empty when it takes any."""
    nodes = _nodes(model, location)
    return sorted({key for node in nodes for key in node.get("properties", {})})


def describe(model: type[BaseModel], location: Location) -> str:
    """What may stand at `location`, such as ``a whole number from 1 to 4096``."""
    parts = dict.fromkeys(_words(node) for node in _nodes(model, location))
    return " or ".join(parts)


def is_open(model: type[BaseModel], location: Location) -> bool:
    """Whether the mapping at `location` carries options of a component beside its own keys."""
    return any(node.get("additionalProperties") is True for node in _nodes(model, location))


def is_secret(model: type[BaseModel], location: Location) -> bool:
    """Whether the field at `location` is declared secret."""
    return any(node.get("format") == "password" for node in _nodes(model, location))


def _nodes(model: type[BaseModel], location: Location) -> list[Schema]:
    """Every alternative of the schema at `location`; none when nothing may stand there."""
    root = _schema_of(model)
    nodes = _alternatives(root, root)
    for part in location:
        nodes = [inner for node in nodes for child in _children(node, part) for inner in _alternatives(child, root)]
    return nodes


def _alternatives(node: Schema, root: Schema) -> list[Schema]:
    if "$ref" in node:
        return _alternatives(root["$defs"][node["$ref"].rsplit("/", 1)[-1]], root)
    if "anyOf" in node:
        return [inner for member in node["anyOf"] for inner in _alternatives(member, root)]
    return [node]


def _children(node: Schema, part: str | int) -> list[Schema]:
    if isinstance(part, int):
        return [node["items"]] if "items" in node else []
    if part in node.get("properties", {}):
        return [node["properties"][part]]
    extra = node.get("additionalProperties")
    return [extra] if isinstance(extra, dict) else []


def _words(node: Schema) -> str:
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return ", ".join(map(str, node["enum"]))
    kind = node.get("type")
    if kind in {"integer", "number"}:
        return ("a whole number" if kind == "integer" else "a finite number") + _range(node)
    if kind == "array":
        return "a list of " + _words(node["items"]).removeprefix("a ") + "s" if "items" in node else "a list"
    if kind == "string":
        return f"a text that matches {node['pattern']}" if "pattern" in node else "a text"
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "a mapping")


def _range(node: Schema) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    start = f"from {low}" if low is not None else f"above {above}" if above is not None else ""
    if high is not None:
        end = f"to {high}" if low is not None else f"and at most {high}"
    else:
        end = f"and below {below}" if below is not None else ""
    if start == f"from {low}" and not end:
        start = f"of at least {low}"
    words = " ".join(part for part in (start, end) if part).removeprefix("and ")
    return f" {words}" if words else ""
