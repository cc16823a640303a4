"""One batch over eight adapters, beside the same batch on one adapter, and beside answering adapter by adapter."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ADAPTERS = 8
NEW_TOKENS = 48
ROUNDS = 5
EACH = (1, 8)
"""Prompts for each adapter."""


def measure(model: Path, *, tell: Callable[[str], None]) -> None:
    """Answer the same prompts in three ways, in turn, and compare within each round."""
    from lorasdk import FineTuner

    with tempfile.TemporaryDirectory() as name:
        folders = adapters_of(model, Path(name))
        with FineTuner.from_adapter(folders[0], discover=False) as tuner:
            for number, folder in enumerate(folders):
                tuner.adapters.load(str(number), folder)
            for each in EACH:
                tell(f"{ADAPTERS} adapters of rank 16 on all linear layers, {each} prompts for each, bfloat16:")
                _compare(tuner, each, tell)


def adapters_of(model: Path, folder: Path) -> list[Path]:
    """Adapters that answer differently: each is trained a few steps on rows of its own."""
    from benchmarks.workloads import WORKLOADS
    from lorasdk import FineTuner

    rows = WORKLOADS["mixed-32"].rows
    recipes = [_recipe(number, rows[8 * number : 8 * number + 8], model, folder) for number in range(ADAPTERS)]
    return [each.result().adapter_dir for each in FineTuner.train_many(recipes, discover=False, evaluate=False)]


def _recipe(number: int, rows: list[dict], model: Path, folder: Path) -> dict:
    path = folder / f"rows-{number}.jsonl"
    lines = [json.dumps({"prompt": row["prompt"], "completion": row["answer"]}) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return {
        "name": f"adapter-{number}",
        "output_dir": str(folder / "runs"),
        "base_model": {"source": str(model), "dtype": "bfloat16"},
        "data": {"train": str(path)},
        "lora": {"rank": 16, "targets": "all-linear"},
        "training": {"max_steps": 2, "batch_size": 8, "seed": number},
    }


def _compare(tuner, each: int, tell: Callable[[str], None]) -> None:  # noqa: ANN001 - a `FineTuner`, imported late
    from lorasdk.evaluation.general_prompts import general_prompts

    texts = (general_prompts().texts * ADAPTERS)[: ADAPTERS * each]
    names = [str(number % ADAPTERS) for number in range(len(texts))]

    def ask(prompts: list[str], adapter: object) -> int:
        found = tuner.infer(prompts, adapter=adapter, max_new_tokens=NEW_TOKENS, batch_size=len(prompts))
        return sum(answer.completion_tokens for answer in found)

    ways = {
        "mixed": lambda: ask(list(texts), names),
        "one adapter": lambda: ask(list(texts), "0"),
        "adapter by adapter": lambda: sum(
            ask([text for text, name in zip(texts, names, strict=True) if name == one], one)
            for one in sorted(set(names))
        ),
    }
    ways["mixed"]()
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way in [*ways][number % len(ways) :] + [*ways][: number % len(ways)]:
            began = time.perf_counter()
            speeds[way].append(ways[way]() / (time.perf_counter() - began))
    for way, found in speeds.items():
        ratios = [ours / other for ours, other in zip(speeds["mixed"], found, strict=True)]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        tell(f"  {way}: {median(found):.0f} tokens/s; mixed reaches {spread} of it")
