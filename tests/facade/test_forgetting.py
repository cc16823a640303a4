"""A tuner's bench measures what its adapter made the model forget."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import tiny_tuner

from lorasdk import FineTuner, InferenceError, Notice, StopToken
from lorasdk.evaluation.general_prompts import general_prompts


@pytest.fixture(scope="module")
def trained(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory):
    evaluation = {"max_forgetting": 1e-6}
    with tiny_tuner(tiny_model_dir, tmp_path_factory.mktemp("run"), evaluation=evaluation) as tuner:
        tuner.train()
        yield tuner


def forgetting(tuner, events: list[object]):
    return tuner._state.bench(events.append).forgetting(emit=events.append, stop=StopToken())


def test_a_training_moves_the_model_and_a_bound_that_is_exceeded_is_told(trained):
    events: list[object] = []
    found = forgetting(trained, events)
    assert (found.prompts, found.prompt_set) == (40, general_prompts().identity)
    assert 1e-6 < found.divergence < 10
    assert 1 <= found.base_perplexity < found.tuned_perplexity
    assert (found.bound, found.within) == (1e-6, False)
    assert [event.code for event in events if isinstance(event, Notice)] == ["evaluation.forgotten"]


def test_the_measurement_is_the_same_again(trained):
    assert forgetting(trained, []) == forgetting(trained, [])


def test_the_yardstick_is_none_of_the_recipes(trained):
    overrides = ["generation.temperature=1.5", "generation.max_new_tokens=3", "generation.batch_size=1"]
    with FineTuner.from_adapter(trained._state.adapter_dir, overrides=overrides) as other:
        other.infer("hi")
        assert forgetting(other, []) == forgetting(trained, [])


def test_there_is_nothing_to_measure_before_there_is_an_adapter(tiny_model_dir: Path, tmp_path: Path):
    with tiny_tuner(tiny_model_dir, tmp_path) as tuner, pytest.raises(InferenceError) as caught:
        forgetting(tuner, [])
    assert caught.value.code == "tuner.no-adapter"
