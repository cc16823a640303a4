"""Does cost grow with the rows and with nothing else?"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.workloads import WORKLOADS

ROUNDS = 5
ROWS = (96, 192)
FILE_ROWS = (1_000, 10_000, 100_000)

TRAINING = textwrap.dedent("""
    import json, sys, time
    from benchmarks.job import StepClock, peak_resident_bytes
    from lorasdk import FineTuner

    model, output, rows, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    recipe = {
        "name": "linear",
        "output_dir": output,
        "base_model": {"source": model, "dtype": "bfloat16"},
        "data": {"train": rows},
        "lora": {"rank": 8, "targets": ["q_proj", "v_proj"]},
        "training": {"batch_size": 32, **({"max_steps": steps} if steps else {"epochs": 1})},
    }
    clock = StepClock.of_optimizers()
    with FineTuner.from_recipe(recipe) as tuner:
        tuner.train()
    print(json.dumps({"seconds": clock.ends[-1] - clock.ends[0], "bytes": peak_resident_bytes()}))
""")


def measure(model: Path, work_dir: Path, *, tell: Callable[[str], None]) -> None:
    """Tell the ratios of time for twice the rows, and peak memory by the number of rows."""
    rows = [{"instruction": row["prompt"], "output": row["answer"]} for row in WORKLOADS["mixed-32"].every]
    ratios = []
    for number in range(ROUNDS):
        # Each batch but the first is timed, and all hold the same rows, so that only their number differs.
        seconds = [
            _train(model, work_dir, [*rows[:32] * (count // 32 + 1)], steps=count // 32 + 1)["seconds"]
            for count in ROWS
        ]
        ratios.append(seconds[1] / seconds[0])
        tell(f"round {number + 1}: twice the rows take {ratios[-1]:.3f} times as long")
    tell(f"median {median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")
    for count in FILE_ROWS:
        many = [
            {**row, "instruction": f"{i}: {row['instruction']}"} for i in range(count) for row in rows[i % 100 :][:1]
        ]
        tell(f"{count:,} rows: peak {_train(model, work_dir, many, steps=2)['bytes'] / 1e9:.2f} GB")


def _train(model: Path, work_dir: Path, rows: list[dict[str, str]], *, steps: int) -> dict[str, float]:
    path = work_dir / "linear" / "rows.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    command = [sys.executable, "-c", TRAINING, model, work_dir / "linear" / "output", path, str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
