"""The README's blocks run and its tables are complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import lorasdk_judge
import pytest
from local_judge import KEY, LocalJudge, says

import lorasdk

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LOCAL = "http://localhost:11434/v1"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("recipe", blocks("yaml"))
def test_recipes_are_valid(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text('{"prompt": "a", "completion": "b"}\n', encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")

    # Found by its entry point, as an installed package is.
    tuner = lorasdk.FineTuner.from_recipe(tmp_path / "recipe.yaml", allowed=["lorasdk-judge"])

    assert tuner.recipe.evaluation.evaluators[0].name == "llm_judge"


@pytest.mark.parametrize("code", blocks("python"))
def test_programs_run(code: str, judge: LocalJudge, capsys: pytest.CaptureFixture[str]) -> None:
    judge.behave = lambda asked: says(json.dumps({"reason": "", "score": 5 if "Paris" in asked.part("answer") else 1}))

    exec(code.replace(LOCAL, judge.url), {})

    shown = capsys.readouterr().out.splitlines()
    assert [line[-5:] for line in shown if not line.startswith("judge.cost ")] == ["[1.0]", "[1.0]", "[0.0]", "[0.0]"]


def test_every_option_is_listed() -> None:
    table = README.split("## Options")[1].split("## ")[0]

    assert set(re.findall(r"`(\w+)`(?=[^|]*\|[^|]*\|[^|]*\|$)", table, re.MULTILINE)) == set(
        lorasdk_judge.JudgeOptions.model_fields
    )


def test_every_code_is_listed() -> None:
    package = Path(lorasdk_judge.__file__).parent
    source = " ".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    listed = README.split("## Errors and notices")[1]

    assert set(re.findall(r'"(judge\.[a-z-]+)"', source)) == set(re.findall(r"`(judge\.[a-z-]+)`", listed))
