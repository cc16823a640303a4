"""Four small recipes over one base model: together, by four tuners of one process, and each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

RECIPES = 4
ROWS, BATCH, STEPS = 32, 8, 4
ROUNDS = 3
SCRIPTS = {
    "together": """
for outcome in FineTuner.train_many(recipes, discover=False, evaluate=False):
    keep(outcome.result())
""",
    "tuners": """
for recipe in recipes:
    with FineTuner.from_recipe(recipe, discover=False) as tuner:
        keep(tuner.train(evaluate=False))
""",
}
PROGRAM = """
import hashlib, json, resource, sys, time
began = time.perf_counter()
from lorasdk import FineTuner
recipes, hashes = json.load(open(sys.argv[1])), []
def keep(result):
    hashes.append(hashlib.sha256((result.adapter_dir / "adapter_model.safetensors").read_bytes()).hexdigest())
{work}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({{"seconds": time.perf_counter() - began, "peak": peak, "hashes": hashes}}))
"""


def measure(model: Path, *, tell: Callable[[str], None], lock: list[str]) -> None:
    """Train the same recipes in three ways, in turn; each from its first import on, and compare the adapters' bits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipes = _recipes(model, folder)
        ways = {
            "together": lambda: _run("together", recipes, folder, lock),
            "tuners": lambda: _run("tuners", recipes, folder, lock),
            "processes": lambda: _each_alone(recipes, folder, lock),
        }
        ways["together"]()  # encoded rows and hashes of files are in the user's cache for all that follow
        found: dict[str, list[dict]] = {way: [] for way in ways}
        for number in range(ROUNDS):
            for way in [*ways][number % len(ways) :] + [*ways][: number % len(ways)]:
                found[way].append(ways[way]())
    same = len({tuple(run["hashes"]) for runs in found.values() for run in runs}) == 1
    tell(f"{RECIPES} recipes of {STEPS} steps with {BATCH} rows, from the first import on; same bits: {same}")
    for way, runs in found.items():
        ratios = [run["seconds"] / ours["seconds"] for run, ours in zip(runs, found["together"], strict=True)]
        tell(f"  {way}: {_spread(runs, 'seconds', 1)} s, peak {_spread(runs, 'peak', 1e9)} GB, {_times(ratios)}")


def _recipes(model: Path, folder: Path) -> list[dict]:
    from benchmarks.workloads import WORKLOADS

    rows = WORKLOADS["wordnet-8"].every
    return [_recipe(number, rows[number * ROWS : (number + 1) * ROWS], model, folder) for number in range(RECIPES)]


def _recipe(number: int, rows: list[dict], model: Path, folder: Path) -> dict:
    path = folder / f"rows-{number}.jsonl"
    lines = [json.dumps({"prompt": row["prompt"], "completion": row["answer"]}) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return {
        "name": f"many-{number}",
        "output_dir": str(folder / "runs"),
        "base_model": {"source": str(model), "dtype": "bfloat16"},
        "data": {"train": str(path)},
        "lora": {"rank": 4 * (number + 1), "targets": ["q_proj", "v_proj"]},
        "training": {"max_steps": STEPS, "batch_size": BATCH, "seed": number},
    }


def _each_alone(recipes: list[dict], folder: Path, lock: list[str]) -> dict:
    runs = [_run("tuners", [recipe], folder, lock) for recipe in recipes]
    return {
        "seconds": sum(run["seconds"] for run in runs),
        "peak": max(run["peak"] for run in runs),
        "hashes": [hashed for run in runs for hashed in run["hashes"]],
    }


def _run(way: str, recipes: list[dict], folder: Path, lock: list[str]) -> dict:
    wanted = folder / "recipes.json"
    wanted.write_text(json.dumps(recipes), "utf-8")
    command = [*lock, sys.executable, "-c", PROGRAM.format(work=SCRIPTS[way]), str(wanted)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def _spread(runs: list[dict], key: str, unit: float) -> str:
    values = [run[key] / unit for run in runs]
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _times(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} of the time together ({min(ratios):.2f} to {max(ratios):.2f})"
