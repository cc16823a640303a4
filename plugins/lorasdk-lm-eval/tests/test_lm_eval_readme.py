"""The README's blocks run, offline, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import lorasdk_lm_eval
import pytest
from lorasdk_lm_eval.options import LmEvalOptions

import lorasdk
from tests.tiny_model import write_tiny_model

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ROW = '{"prompt": "What is the capital of Peru?", "completion": "Lima"}\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the README shows, with rows and a base model that are there."""
    plain, task, recipe = blocks("yaml")
    (tmp_path / "my_tasks").mkdir()
    for path, text in {
        "train.jsonl": ROW * 4,
        "first.yaml": plain,
        "my_tasks/capitals.yaml": task,
        "my_tasks/capitals.jsonl": blocks("json")[0],
        "recipe.yaml": recipe + "base_model: {source: model}\ntraining: {max_steps: 2}\n",
    }.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_recipe_is_valid_and_finds_the_package_by_its_entry_point(project: Path):
    tuner = lorasdk.FineTuner.from_recipe(project / "first.yaml", allowed=["lorasdk-lm-eval"])
    assert tuner.recipe.evaluation.evaluators[0].name == "lm_eval"


def test_the_programs_run(project: Path, capsys: pytest.CaptureFixture[str]):
    write_tiny_model(project / "model")
    for code in blocks("python"):
        exec(code, {})
    assert re.fullmatch(r"lm_eval \([01]\.0, [01]\.0\) \([01]\.0, [01]\.0\)\n", capsys.readouterr().out)


def test_every_option_is_listed():
    table = README.split("## Options")[1].split("\n\n- ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(LmEvalOptions.model_fields)


def test_every_code_is_listed():
    package = Path(lorasdk_lm_eval.__file__).parent
    source = " ".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    spelt = set(re.findall(r'"(lm_eval\.[a-z]+-?[a-z-]*)"', source)) - {"lm_eval.utils"}
    listed = set(re.findall(r"^\|.*$", README.split("## Errors and notices")[1], re.MULTILINE))
    named = set(re.findall(r"`(lm_eval\.[a-z-]+)`", " ".join(listed)))
    assert named == spelt | {"lm_eval.unknown-metric", "lm_eval.unknown-filter"}
