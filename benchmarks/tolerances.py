"""How far exports are from the model that they were made from, and verifications elsewhere from what was recorded.

Tolerances stand above the largest of these numbers: see `lorasdk/artifacts/tolerances.py`, and `docs/export.md`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorasdk import FineTuner, load_recipe

FORMATS = {
    "merged": ("float32", "float16", "bfloat16"),
    "adapter": ("as-trained",),
    "gguf": ("f32", "f16", "bf16", "q8_0"),
    "gguf-adapter": ("f32", "f16", "bf16", "q8_0"),
}
OTHER_KERNELS = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""Another processor, as far as one can pretend to be it: no bfloat16 instructions, narrower vectors."""
TWENTY_STEPS = {"training.epochs": None, "training.max_steps": 20}
ELSEWHERE = "import sys, lorasdk; print(lorasdk.verify(sys.argv[1], overrides=sys.argv[2:]).largest_difference)"


def measure_demo(root: Path, *, quantization: str, tell: Callable[[str], None]) -> None:
    """Twenty steps of the demo's recipe on the embedded model."""
    overrides = {**TWENTY_STEPS, "base_model.quantization": quantization}
    recipe = load_recipe(root / "recipes" / "wordnet-kinds.yaml", overrides=overrides)
    data = {split: {**rows, "path": str(recipe.path(rows["path"]))} for split, rows in _files(recipe.dump()).items()}
    measure({**recipe.dump(), "data": {**recipe.dump()["data"], **data}}, tell=tell)


def _files(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {split: rows for split, rows in recipe["data"].items() if isinstance(rows, dict) and "path" in rows}


def measure(recipe: dict[str, Any], *, tell: Callable[[str], None], data: dict[str, Any] | None = None) -> None:
    """Train a recipe, export its adapter in every form and type, and verify it as another machine would."""
    with (
        tempfile.TemporaryDirectory() as name,
        FineTuner.from_recipe({**recipe, "output_dir": name}, data=data, discover=False) as tuner,
    ):
        adapter = tuner.train(evaluate=False).adapter_dir
        for form, dtypes in FORMATS.items():
            for dtype in dtypes:
                folder = Path(name) / f"{form}-{dtype}"
                made = tuner.export(folder, format=form, dtype=dtype, on_difference="label")
                tell(f"{form} {dtype}: {made.largest_difference:.2g} nats; base {made.base}: {made.distances}")
        for environment in ({}, OTHER_KERNELS):
            tell(f"adapter verified with {environment or 'the same kernels'}: {_elsewhere(adapter, environment)} nats")
        tell(f"adapter verified in float32: {_elsewhere(adapter, {}, 'base_model.dtype=float32')} nats")


def _elsewhere(adapter: Path, environment: dict[str, str], *overrides: str) -> str:
    command = [sys.executable, "-c", ELSEWHERE, str(adapter), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    return done.stdout.strip() or done.stderr.strip()
