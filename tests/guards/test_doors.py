"""The doors' runtime twin: what may be loaded, and how long it may take, before work begins."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "typer", "rich", "pyarrow")
RECIPE = Path(__file__).parents[2] / "recipes" / "wordnet-kinds.yaml"
PROGRAM = f"""
import json, sys, time
began = time.perf_counter()
import lorasdk
lorasdk.load_recipe({str(RECIPE)!r})
lorasdk.FineTuner.from_recipe({str(RECIPE)!r})
seconds = time.perf_counter() - began
print(json.dumps([seconds, sorted(set({HEAVY!r}) & set(sys.modules))]))
"""


def run() -> tuple[float, list[str]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    seconds, loaded = json.loads(done.stdout)
    return seconds, loaded


def test_a_tuner_is_made_without_any_heavy_module_in_under_0_3_seconds():
    measured = [run() for _ in range(5)]
    assert measured[0][1] == []
    assert min(seconds for seconds, _ in measured) < 0.3
