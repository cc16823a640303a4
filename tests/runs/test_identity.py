"""What decides the bits of a run."""

from __future__ import annotations

from lorasdk.recipe import load_recipe
from lorasdk.runs.identity import recipe_identity

WATCHED = "name: x\ndata: {train: a.jsonl, validation: 0.1}\ntraining: {metric: exact_match}\n"


def test_what_is_measured_after_a_run_is_no_part_of_it_even_when_an_evaluator_is_watched():
    one, other = (recipe_identity(load_recipe(WATCHED + more)) for more in ("", "evaluation: {max_forgetting: 0.1}\n"))
    assert one == other
    assert "evaluation.evaluators" in one
    assert [name for name in one if "forgetting" in name] == []
