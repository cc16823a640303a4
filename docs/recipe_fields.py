"""Writes the tables of docs/reference/recipe.md from the recipe's JSON Schema: ``python docs/recipe_fields.py``.

Types, bounds, defaults and descriptions are the schema's; only units and examples stand here. A test loads the latter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorasdk.recipe import Recipe

PAGE = Path(__file__).parent / "reference" / "recipe.md"
TABLE = re.compile(r"(<!-- fields: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| field | type and range | default | unit | example | |\n|---|---|---|---|---|---|\n"
UNITS = {
    "batch_size": "examples",
    "checkpoint_every_steps": "steps",
    "dropout": "share",
    "epochs": "passes",
    "eval_every_steps": "steps",
    "fraction": "share of rows",
    "keep_checkpoints": "checkpoints",
    "max_forgetting": "nats per token",
    "max_new_tokens": "tokens",
    "max_overlap": "share of rows",
    "max_rows": "rows",
    "max_steps": "steps",
    "max_tokens": "tokens",
    "memory_gb": "GB",
    "micro_batch": "examples",
    "min_delta": "the metric's",
    "pack_tokens": "tokens",
    "patience": "validations",
    "rows": "rows",
    "top_k": "tokens",
    "top_p": "probability",
    "warmup": "share of steps",
}
EXAMPLES: dict[str, object] = {
    "alpha_pattern": {"q_proj": 32},
    "checkpoint_every_steps": 100,
    "columns": {"output": "answer"},
    "early_stopping": {"patience": 2},
    "epochs": 3,
    "eval_every_steps": 50,
    "evaluators": ["exact_match", "perplexity"],
    "fraction": 0.1,
    "layers": [0, 1, 2],
    "max_forgetting": 0.5,
    "max_rows": 1000,
    "max_steps": 200,
    "memory_gb": 8,
    "micro_batch": 2,
    "modules_to_save": ["embed_tokens"],
    "name": "exact_match",
    "pack_tokens": 1024,
    "rank_pattern": {"q_proj": 16},
    "revision": "main",
    "rows": 50,
    "stop": ["\n\n"],
    "target_parameters": ["mlp.experts.gate_up_proj"],
    "targets": ["q_proj", "v_proj"],
    "test": 50,
    "token": "${env:HF_TOKEN}",
    "top_k": 50,
    "train": "rows.jsonl",
    "validation": 0.1,
}
"""Where neither the schema has one nor the default is one."""


def fields(section: str) -> Mapping[str, dict[str, Any]]:
    """The schema of each field of a section."""
    schema = Recipe.model_json_schema()
    return (schema if section == "Recipe" else schema["$defs"][section])["properties"]


def example(name: str, field: Mapping[str, Any]) -> object:
    """A value that may stand there, another one than the default where there is."""
    if name in EXAMPLES and not field.get("examples"):
        return EXAMPLES[name]
    default = field.get("default")
    choices = [*field.get("examples", []), *field.get("enum", [])]
    return next((each for each in choices if each != default), not default if isinstance(default, bool) else default)


def kind(field: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        heading = (
            re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Section")) if name.endswith("Section") else name
        )
        return f"[{heading.lower()}](#{heading.lower()})"
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if alternatives := field.get("anyOf") or field.get("oneOf"):
        return ", or ".join(kind(each) for each in alternatives)
    inner = field.get("items") or field.get("additionalProperties")
    if field["type"] in {"array", "object"} and isinstance(inner, dict):
        return f"{'list of' if field['type'] == 'array' else 'names with'} {kind(inner)}"
    words = {"null": "`null`", "string": "text", "boolean": "`true`, `false`", "integer": "whole number"}
    return f"{words.get(field['type'], field['type'])} {' and '.join(bounds(field))}".strip()


def bounds(field: Mapping[str, Any]) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {field[key]}" for key, sign in signs.items() if key in field]


def table(section: str) -> str:
    return HEAD + "".join(row(name, field) for name, field in fields(section).items())


def row(name: str, field: Mapping[str, Any]) -> str:
    is_section = "$ref" in field
    default = "" if is_section or "default" not in field else _code(field["default"])
    shown = "" if is_section else _code(example(name, field))
    text = " ".join(field["description"].split())
    cells = [f"`{name}`", kind(field), default, UNITS.get(name, ""), shown, text]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def _code(value: object) -> str:
    return f"`{json.dumps(value, ensure_ascii=False) if not isinstance(value, str) or not value.strip() else value}`"


def with_tables(page: str) -> str:
    """The page with each of its tables written anew."""
    return TABLE.sub(lambda match: f"{match[1]}\n{table(match[2])}\n{match[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
