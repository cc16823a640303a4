"""Small pieces that tests of the computing rooms share: an encoder, a model, rows, and a recipe around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorasdk.basemodel.loading import LoadedBase, load_base_model
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.contracts import Example, LocatedModel, Message
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.template import ChatTemplate, choose_template
from lorasdk.finetuner import FineTuner
from lorasdk.recipe.schema import BaseModelSection

ROWS = [{"instruction": f"say {i}", "output": "yes" if i % 2 else "no no"} for i in range(10)]


def encoder_of(folder: Path, *, template: str = "auto") -> Encoder:
    """The tiny tokenizer with a template's name, or with Jinja source."""
    tokenizer = load_tokenizer(folder)
    chosen = ChatTemplate(template, "test") if "{" in template else choose_template(template, tokenizer)
    return Encoder.of(tokenizer, chosen)


def chat(*contents: str, row: int = 1) -> Example:
    """A conversation of user and assistant in turn."""
    roles = ("user", "assistant")
    return Example(row, tuple(Message(roles[i % 2], text) for i, text in enumerate(contents)))


def load_tiny(folder: Path, **section: Any) -> LoadedBase:
    """The tiny model in float32."""
    located = LocatedModel(folder, "folder", f"folder:{folder.name}")
    return load_base_model(located, BaseModelSection(source=str(folder), **{"dtype": "float32", **section}))


def token_rows(encoder: Encoder, examples: list[Example]) -> list[TokenRow]:
    """Rows trained on all turns."""
    return [encoder.encode_example(example, train_on="all_turns", origin="train") for example in examples]


def tiny_recipe(folder: Path, output_dir: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe for two quick steps on the tiny model; sections are merged into it."""
    recipe: dict[str, Any] = {
        "name": "tiny",
        "output_dir": str(output_dir),
        "base_model": {"source": str(folder), "dtype": "float32"},
        "data": {"train": "rows.jsonl"},
        "training": {"max_steps": 2, "batch_size": 4, "learning_rate": 1e-2},
        "generation": {"max_new_tokens": 4},
    }
    for name, section in sections.items():
        recipe[name] = {**recipe.get(name, {}), **section}
    return recipe


def tiny_tuner(folder: Path, output_dir: Path, *, rows: Any = None, **sections: Mapping[str, Any]) -> FineTuner:
    """A tuner with rows in memory."""
    data = {"train": ROWS} if rows is None else rows
    return FineTuner.from_recipe(tiny_recipe(folder, output_dir, **sections), data=data)
