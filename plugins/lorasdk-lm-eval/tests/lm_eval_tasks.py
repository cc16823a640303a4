"""Writes a task of one document, to be changed by a test, and catches what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from lm_eval_fakes import Heard, options
from lorasdk_lm_eval.evaluator import LmEval
from lorasdk_lm_eval.options import LmEvalOptions

from lorasdk import DataError, PluginError, Problem

LEMON = '{"question": "Which colour has a ripe lemon?", "choices": ["blue", "yellow"], "answer": 1}\n'
PLAIN = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"]},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def write_task(folder: Path, **more: object) -> LmEvalOptions:
    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    (tasks / "rows.jsonl").write_text(LEMON)
    (tasks / "own.yaml").write_text(yaml.safe_dump({"task": "own", **PLAIN, **more}))
    return options("own", include_path="tasks")


def refusal(folder: Path, asked: LmEvalOptions, kind: type[PluginError | DataError] = PluginError) -> Sequence[Problem]:
    with pytest.raises(kind) as caught:
        LmEval().examples(asked, Heard().context(folder))
    return caught.value.problems
