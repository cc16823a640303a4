"""Base against tuned, ours beside the plain way: two models loaded, each row answered alone by `generate`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS = 3
ROWS = 120
"""Test rows; the plain way answers each of them twice, alone."""
RECIPES = ("wordnet-kinds", "zh-terms")
TOKENS = 8
"""Of an answer at most, as the recipes say."""

OURS = """
import json, sys, time
began = time.perf_counter()
from lorasdk import FineTuner
adapter, rows, forgetting = sys.argv[1], sys.argv[2], sys.argv[3]
overrides = [f"evaluation.max_rows={rows}", f"evaluation.forgetting={forgetting}"]
with FineTuner.from_adapter(adapter, overrides=overrides, discover=False) as tuner:
    score = tuner.evaluate().scores[0]
print(json.dumps({"seconds": time.perf_counter() - began, "base": score.base, "tuned": score.tuned}))
"""

PLAIN = """
import json, sys, time
began = time.perf_counter()
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
model_dir, adapter, rows, tokens = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3])), int(sys.argv[4])
tokenizer = AutoTokenizer.from_pretrained(model_dir)
base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16), adapter)
def folded(text):
    return " ".join(text.split()).casefold().removesuffix(".").removesuffix("。")
def share(model):
    right = 0
    for prompt, reference in rows:
        turns = [{"role": "user", "content": prompt}]
        given = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            ids = model.generate(**given, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        answer = tokenizer.decode(ids[0, given["input_ids"].shape[1]:], skip_special_tokens=True)
        right += folded(answer) == folded(reference)
    return right / len(rows)
print(json.dumps({"base": share(base), "tuned": share(tuned), "seconds": time.perf_counter() - began}))
"""


def measure(model: Path, *, tell: Callable[[str], None]) -> None:
    """Train a little, then evaluate in both ways in turn; each in a new process, from its first import on."""
    with tempfile.TemporaryDirectory() as folder:
        for name in RECIPES:
            _compare(name, model, Path(folder) / name, tell)


def _compare(name: str, model: Path, folder: Path, tell: Callable[[str], None]) -> None:
    adapter, rows = _trained(name, model, folder)
    asked = folder / "rows.json"
    asked.write_text(json.dumps(rows))
    ours, plain, whole = [], [], []
    for _ in range(ROUNDS):
        ours.append(_run(OURS, str(adapter), str(len(rows)), "false"))
        plain.append(_run(PLAIN, str(model), str(adapter), str(asked), str(TOKENS)))
        whole.append(_run(OURS, str(adapter), str(len(rows)), "true"))
    ratios = [theirs["seconds"] / mine["seconds"] for theirs, mine in zip(plain, ours, strict=True)]
    tell(f"{name}: {len(rows)} rows, base and tuned, from the first import on")
    tell(f"  ours  {_seconds(ours)}  base {ours[0]['base']:.3f} tuned {ours[0]['tuned']:.3f}")
    tell(f"  plain {_seconds(plain)}  base {plain[0]['base']:.3f} tuned {plain[0]['tuned']:.3f}")
    tell(f"  ours is faster by {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    tell(f"  ours with the measure of what was forgotten: {_seconds(whole)}")


def _trained(name: str, model: Path, folder: Path) -> tuple[Path, list[tuple[str, str]]]:
    from lorasdk import FineTuner

    overrides = {
        "base_model.source": str(model),
        "base_model.dtype": "bfloat16",
        "output_dir": str(folder),
        "training.max_steps": 20,
        "training.epochs": None,
    }
    recipe = Path(__file__).parents[1] / "recipes" / f"{name}.yaml"
    with FineTuner.from_recipe(recipe, overrides=overrides, discover=False) as tuner:
        result = tuner.train(evaluate=False)
        path = tuner.recipe.base_dir / tuner.recipe.data.test.options["path"]
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()][:ROWS]
    return result.adapter_dir, [_pair(row) for row in rows]


def _pair(row: dict) -> tuple[str, str]:
    if "messages" in row:
        return row["messages"][0]["content"], row["messages"][-1]["content"]
    if "prompt" in row:
        return row["prompt"], row["completion"]
    return "\n\n".join(filter(None, [row["instruction"], row.get("input", "")])), row["output"]


def _run(program: str, *arguments: str) -> dict:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _seconds(runs: list[dict]) -> str:
    seconds = [run["seconds"] for run in runs]
    return f"{median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
