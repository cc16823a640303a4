"""With a real training of a tiny model: what it learns shows in the scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lm_eval_fakes import TOY_TASKS
from lorasdk_lm_eval import plugin

from lorasdk import FineTuner, Notice
from tests.tiny_model import write_tiny_model

COLOURS = [json.loads(line) for line in (TOY_TASKS / "data" / "colours.jsonl").read_text().splitlines()]


def row(question: str, answer: str, *, system: str = "") -> dict[str, object]:
    turns = {"system": system, "user": question, "assistant": answer}
    return {"messages": [{"role": role, "content": content} for role, content in turns.items() if content]}


ROWS = [
    *(row(f"{each['question']}\nAnswer:", each["choices"][each["answer"]]) for each in COLOURS),
    row("2 + 3 =", "5", system="Add the numbers."),
    row("The miller ground the corn to", "flour"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("lm-eval-model"))


def tuner(
    model: Path, folder: Path, asked: dict[str, object], rows: list[dict[str, object]], template: str = "auto"
) -> FineTuner:
    recipe = {
        "name": "toys",
        "output_dir": str(folder / "runs"),
        "base_model": {"source": str(model), "chat_template": template},
        "data": {},
        "lora": {"rank": 32, "alpha": 64, "targets": "all-linear"},
        "training": {"epochs": 60, "batch_size": 5, "learning_rate": 0.01},
        "generation": {"max_new_tokens": 16},
        "evaluation": {"evaluators": [{"name": "lm_eval", "include_path": str(TOY_TASKS), **asked}]},
    }
    return FineTuner.from_recipe(recipe, plugins=[plugin], discover=False, data={"train": rows})


def test_what_was_learnt_shows_in_choices_generated_and_given_answers(model: Path, tmp_path: Path):
    asked = {"tasks": ["toy_colours", "toy_sums", "toy_last_word"]}
    events: list[object] = []
    with tuner(model, tmp_path, asked, ROWS) as ours:
        ours.train()
        (score,) = ours.evaluate(on_event=events.append).scores
    assert len(score.tuned_rows) == 7
    # The three colours, the first sum and the miller's flour were trained on.
    assert [score.tuned_rows[row] for row in (0, 1, 2, 5)] == [1.0, 1.0, 1.0, 1.0]
    assert score.tuned > score.base
    assert not [event for event in events if isinstance(event, Notice) and event.code.startswith("lm_eval")]


def test_a_plain_text_recipe_is_asked_in_plain_text(model: Path, tmp_path: Path):
    # Spaces as the task puts them between texts; with another space, or none, the answers were never seen.
    rows = [row(f"{each['question']}\nAnswer:", " " + each["choices"][each["answer"]]) for each in COLOURS]
    asked = {"tasks": ["toy_colours"], "prompt": "text"}
    with tuner(model, tmp_path, asked, rows, template="none") as ours:
        ours.train()
        (score,) = ours.evaluate().scores
    assert score.tuned_rows == (1.0, 1.0, 1.0)
    assert score.base < 1.0
