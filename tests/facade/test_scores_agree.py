"""What `evaluate` reports is what an independent script finds, row by row."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_training import tiny_recipe

from lorasdk import EvalReport, FineTuner

TRAIN = [{"instruction": f"say {i}", "output": "yes" if i % 2 else "no no"} for i in range(8)]
TEST = [{"instruction": f"say {i} again", "output": ("yes", "no no")[i % 2]} for i in range(6)]
KINDS = Path(__file__).parents[2] / "recipes" / "data" / "wordnet-kinds"
EVALUATORS = ["exact_match", "contains", "token_f1"]
TOKENS = 6


def by_script(model_dir: Path, adapter_dir: Path, rows: list[dict[str, str]], folder: Path) -> dict[str, Any]:
    asked = [("\n\n".join(filter(None, [row["instruction"], row.get("input")])), row["output"]) for row in rows]
    (folder / "rows.json").write_text(json.dumps(asked))
    script = Path(__file__).parents[1] / "plain_scores.py"
    command = [sys.executable, str(script), str(model_dir), str(adapter_dir), str(folder / "rows.json"), str(TOKENS)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def agree(report: EvalReport, found: dict[str, Any]) -> None:
    assert [pair.base for pair in report.answers] == found["base"]["answers"]
    assert [pair.tuned for pair in report.answers] == found["tuned"]["answers"]
    for score in report.scores:
        assert score.base_rows == pytest.approx(found["base"][score.evaluator], abs=0)
        assert score.tuned_rows == pytest.approx(found["tuned"][score.evaluator], abs=0)


def test_answers_and_scores_of_a_tiny_model_are_those_of_a_script(tiny_model_dir: Path, tmp_path: Path):
    recipe = tiny_recipe(
        tiny_model_dir,
        tmp_path,
        evaluation={"evaluators": EVALUATORS, "forgetting": False},
        training={"max_steps": 20, "learning_rate": 0.03},
        generation={"max_new_tokens": TOKENS},
    )
    with FineTuner.from_recipe(recipe, data={"train": TRAIN, "test": TEST}) as tuner:
        result = tuner.train()
    assert result.report is not None
    agree(result.report, by_script(tiny_model_dir, result.adapter_dir, TEST, tmp_path))
    assert result.report.scores[0].tuned > result.report.scores[0].base


@pytest.mark.real
def test_answers_and_scores_of_the_embedded_model_are_those_of_a_script(embedded_model_source: str, tmp_path: Path):
    rows = {
        name: [json.loads(line) for line in (KINDS / f"{name}.jsonl").read_text("utf-8").splitlines()][:count]
        for name, count in {"train": 64, "test": 16}.items()
    }
    recipe = {
        "name": "kinds",
        "output_dir": str(tmp_path),
        "base_model": {"source": embedded_model_source, "dtype": "float32"},
        "lora": {"rank": 8, "targets": ["q_proj", "v_proj"]},
        "training": {"max_steps": 8, "batch_size": 16, "learning_rate": 2e-3},
        "evaluation": {"evaluators": EVALUATORS, "forgetting": False},
        "generation": {"max_new_tokens": TOKENS},
    }
    with FineTuner.from_recipe(recipe, data=rows) as tuner:
        result = tuner.train()
        dense = tuner._state._bench.base.folder
    assert result.report is not None
    agree(result.report, by_script(dense, result.adapter_dir, rows["test"], tmp_path))
