"""The package inside lorasdk: as a plugin, in a recipe, in an evaluation of base and tuned model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from local_judge import KEY, LocalJudge, fails
from lorasdk_judge import plugin

from lorasdk import EvalReport, Event, InferenceError, Notice, RecipeError
from lorasdk.testing import FakeEngine, check_plugin, fake_finetuner

ROWS = [{"prompt": f"Sum of {i} and 0?", "completion": str(i)} for i in range(4)]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_JUDGE", KEY)


def recipe(judge: LocalJudge, folder: Path, **options: object) -> Mapping[str, object]:
    judged = {"name": "llm_judge", "model": "local", "base_url": judge.url, "attempts": 1, **options}
    return {
        "name": "judged",
        "output_dir": str(folder / "runs"),
        "data": {"test": 2},
        "training": {"max_steps": 1},
        "evaluation": {"evaluators": [{"api_key": "${env:KEY_OF_THE_JUDGE}", **judged}]},
    }


def evaluated(recipe: Mapping[str, object], heard: list[Event]) -> EvalReport:
    """The tuned model knows the answers."""
    engine = FakeEngine(answers=lambda prompt: prompt[-1].content.split()[2], base_answers="?")
    with fake_finetuner(recipe, engine=engine, plugins=[plugin], data={"train": ROWS}) as tuner:
        tuner.train(on_event=heard.append, evaluate=False)
        return tuner.evaluate(on_event=heard.append)


def test_it_honours_what_every_plugin_must(judge: LocalJudge) -> None:
    """The cache is off, so that equal scores are the judge's and not remembered ones."""
    options = {"model": "local", "base_url": judge.url, "api_key": KEY, "attempts": 1, "cache": False}

    check_plugin(plugin, options={"llm_judge": options})

    assert len(judge.asked) >= 6


def test_base_and_tuned_are_judged_and_their_costs_announced(judge: LocalJudge, tmp_path: Path) -> None:
    heard: list[Event] = []

    score = evaluated(recipe(judge, tmp_path), heard).scores[0]

    assert (score.base, score.tuned) == (0.0, 1.0)
    costs = [event.message for event in heard if isinstance(event, Notice) and event.code == "judge.cost"]
    assert [cost.split(":")[0] for cost in costs] == ["judging the answers of base", "judging the answers of tuned"]


def test_P94_the_key_is_in_no_file_event_or_error(judge: LocalJudge, tmp_path: Path) -> None:
    heard: list[Event] = []
    evaluated(recipe(judge, tmp_path), heard)
    judge.behave = lambda _: fails(401, f"bad key {KEY}")

    with pytest.raises(InferenceError) as caught:
        evaluated(recipe(judge, tmp_path, rubric="another"), heard)

    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 4
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in f"{heard} {caught.value} {caught.value.__cause__}"


def test_options_are_judged_with_the_recipe(judge: LocalJudge, tmp_path: Path) -> None:
    wrong = recipe(judge, tmp_path, highst=3, api_key=KEY, rubric="a", rubric_file="b")

    with pytest.raises(RecipeError) as caught:
        fake_finetuner(wrong, plugins=[plugin], data={"train": ROWS})

    fields = [problem.field.rsplit(".", 1)[-1] for problem in caught.value.problems]
    assert sorted(fields) == ["api_key", "highst", "rubric_file"]
    assert KEY not in str(caught.value)
