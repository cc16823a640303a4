"""The README says what is true: its blocks run, and its table of options is the model's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from lorasdk_mlflow.options import TrackingOptions
from tracking_server import Run, TrackingServer

from tests.tiny_training import ROWS, tiny_recipe

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON, YAML = (re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) for language in ("python", "yaml"))


def test_the_program_logs_to_a_server(server: TrackingServer, tiny_model_dir, tmp_path: Path, monkeypatch):
    (program,), (written,) = PYTHON, YAML
    recipe = yaml.safe_load(written)
    tiny = tiny_recipe(tiny_model_dir, tmp_path / "runs")
    tiny = {**recipe, **{name: tiny[name] for name in ("base_model", "training", "output_dir")}}
    (tmp_path / "answers.jsonl").write_text("\n".join(str(row).replace("'", '"') for row in ROWS))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**tiny, "data": {"train": "answers.jsonl", "test": 2}}))
    monkeypatch.chdir(tmp_path)
    exec(program.replace("http://localhost:5000", server.uri), {})
    run = Run(server, server.runs("support%20answers")[0])
    assert run.status == "FINISHED"
    assert run.tags["team"] == "support"
    assert {"base.exact_match", "tuned.exact_match"} <= run.metrics.keys()


@pytest.mark.parametrize("option", TrackingOptions.model_fields)
def test_every_option_is_in_the_table(option: str):
    assert f"| `{option}` |" in README


def test_every_error_is_in_the_table():
    sources = (Path(__file__).parents[1] / "lorasdk_mlflow").glob("*.py")
    codes = {code for source in sources for code in re.findall(r'code="(mlflow[.a-z-]+)"', source.read_text("utf-8"))}
    assert codes
    assert {code for code in codes if f"| `{code}` |" not in README} == set()
