"""An evaluator that a training watches is somebody else's code: it may fail, and the host may be tired of it."""

from pathlib import Path

import pydantic
import pytest
from tiny_training import ROWS, tiny_recipe

from lorasdk import ComparisonFinished, Example, FineTuner, Message, PluginError, RunFailed, StopToken, hookimpl


class Watched:
    """Scores what `gives` says for the answers that it was asked for."""

    name, summary, higher_is_better = "watched", "what the test says", True

    class Options(pydantic.BaseModel, extra="forbid"):
        pass

    def __init__(self, gives):
        self.gives = gives

    @hookimpl
    def evaluators(self):
        return [self]

    def score(self, options, examples, predictor, context):
        return self.gives(examples, predictor, context)


WATCHING = {
    "data": {"validation": 2, "test": 2},
    "training": {"max_steps": 3, "metric": "watched", "eval_every_steps": 3},
    "evaluation": {"evaluators": ["watched"]},
}


def watching(tiny_model_dir: Path, folder: Path, gives) -> FineTuner:
    recipe = tiny_recipe(tiny_model_dir, folder, **WATCHING)
    return FineTuner.from_recipe(recipe, plugins=[Watched(gives)], data={"train": ROWS})


def constant(examples, _predictor, _context):
    return [1.0] * len(examples)


def test_P90_what_was_learnt_outlives_an_evaluator_that_fails_at_the_end(tiny_model_dir: Path, tmp_path: Path):
    def broken(*_given):
        raise ZeroDivisionError("division by zero")

    with pytest.raises(PluginError, match="ZeroDivisionError") as caught:
        watching(tiny_model_dir, tmp_path, broken).train()
    assert caught.value.code == "plugin.evaluator-failed"
    result = watching(tiny_model_dir, tmp_path, constant).train(resume="must")
    assert (result.resumed_from, result.steps, result.validations[-1].metrics["watched"]) == (3, 3, 1.0)


def test_a_stop_in_an_evaluator_leaves_an_adapter(tiny_model_dir: Path, tmp_path: Path):
    stop = StopToken()

    def stopping(examples, predictor, _context):
        stop.stop()
        predictor.complete([example.prompt for example in examples])
        raise AssertionError("nobody waits for this")

    result = watching(tiny_model_dir, tmp_path, stopping).train(stop=stop)
    assert (result.stopped, result.steps, result.adapter_dir.is_dir()) == ("requested", 3, True)


def test_a_stop_between_an_evaluators_steps_leaves_an_adapter(tiny_model_dir: Path, tmp_path: Path):
    stop = StopToken()

    def stopping(_examples, _predictor, context):
        stop.stop()
        context.check_stop()
        raise AssertionError("nobody waits for this")

    assert watching(tiny_model_dir, tmp_path, stopping).train(stop=stop).stopped == "requested"


def test_evaluators_with_examples_of_their_own_need_no_test_rows(tiny_model_dir: Path, tmp_path: Path):
    class Benchmark(Watched):
        def examples(self, options, context):
            return [Example(i, (Message("user", f"say {i}"), Message("assistant", "yes"))) for i in (1, 2, 3)]

    events: list[object] = []
    recipe = tiny_recipe(tiny_model_dir, tmp_path, evaluation={"evaluators": ["watched"]})
    tuner = FineTuner.from_recipe(recipe, plugins=[Benchmark(constant)], data={"train": ROWS})
    result = tuner.train()
    report = tuner.evaluate(on_event=events.append)
    assert (report.rows, report.scores[0].rows) == (0, 3)
    assert ComparisonFinished(result.adapter_dir, 0, {"watched": 1.0}, {"watched": 1.0}) in events


def test_ctrl_c_is_the_end_of_a_run_too(tiny_model_dir: Path, tmp_path: Path):
    def interrupted(*_given):
        raise KeyboardInterrupt

    events: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        watching(tiny_model_dir, tmp_path, interrupted).train(on_event=events.append)
    assert events[-1] == RunFailed("KeyboardInterrupt", "")
