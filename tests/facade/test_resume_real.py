"""The promise of resuming on the real model, in bfloat16 and packs, from one process to another."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lorasdk import FineTuner, StepFinished, StopToken

pytestmark = pytest.mark.real
TOPICS = ("rivers", "bread", "glass", "wool", "salt", "tides", "moss", "copper", "kites", "bells", "amber", "clay")
ROWS = [
    {"instruction": f"Write one short sentence. The topic is {topic}.", "output": f"I like {topic} very much."}
    for topic in TOPICS
]


def weights(folder: str | Path) -> str:
    return hashlib.sha256((Path(folder) / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_a_run_of_the_embedded_model_goes_on_in_another_process_to_the_same_bits(embedded_model_source, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    recipe = {
        "name": "resumed",
        "base_model": {"source": embedded_model_source},
        "data": {"train": str(rows), "validation": {"rows": 2}},
        "lora": {"rank": 8, "dropout": 0.1},
        "training": {"max_steps": 4, "batch_size": 4, "micro_batch": 3, "checkpoint_every_steps": 2},
    }
    whole = FineTuner.from_recipe({**recipe, "output_dir": str(tmp_path / "whole")}).train()
    stop = StopToken()

    def watch(event):
        if isinstance(event, StepFinished) and event.step == 3:
            stop.stop()

    halves = {**recipe, "output_dir": str(tmp_path / "halves")}
    FineTuner.from_recipe(halves).train(stop=stop, on_event=watch)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(halves), encoding="utf-8")
    program = [sys.executable, "-m", "lorasdk", "train", str(path), "--resume", "must", "--json"]
    resumed = json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout)
    assert resumed["resumed_from"] == 3
    assert weights(resumed["adapter_dir"]) == weights(whole.adapter_dir)
