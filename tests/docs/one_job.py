"""The job that every host of the documentation is given."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from tiny_training import tiny_recipe

from lorasdk import TrainResult

DOCS = Path(__file__).parents[2] / "docs"
ROWS = [{"prompt": f"Team for: ticket {i}", "completion": "billing" if i % 2 else "mobile"} for i in range(10)]
STEPS = 200
"""Seconds of them, so that what is asked after the first ones comes in the middle."""


def job(model_dir: Path, output_dir: Path) -> dict[str, Any]:
    """The recipe, without its rows."""
    training = {"max_steps": STEPS, "checkpoint_every_steps": 10}
    return tiny_recipe(model_dir, output_dir, training=training, lora={"dropout": 0.1})


def weights(result: TrainResult | Path) -> str:
    """SHA-256 of an adapter's weights."""
    folder = result if isinstance(result, Path) else result.adapter_dir
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


def example(name: str) -> ModuleType:
    """A program of the documentation, loaded anew, as if its process had just been started."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
