"""A training ends with base against tuned; whatever happens to that, the adapter is there."""

import json
from pathlib import Path

import pydantic
import pytest
from tiny_training import tiny_recipe

from lorasdk import FineTuner, LorasdkError, Notice, RunFailed, RunFinished, StopToken, hookimpl
from lorasdk.cli import main
from lorasdk.testing import fake_finetuner

TRAIN = [{"instruction": f"say {i}", "output": "yes" if i % 2 else "no no"} for i in range(8)]
TEST = [{"instruction": f"say {i} again", "output": ("yes", "no no")[i % 2]} for i in range(6)]
ROWS = {"train": TRAIN, "test": TEST}


class Scripted:
    """An evaluator that does what a test says."""

    name, summary, higher_is_better = "scripted", "what the test says", True

    class Options(pydantic.BaseModel, extra="forbid"):
        pass

    def __init__(self, does):
        self.does = does

    @hookimpl
    def evaluators(self):
        return [self]

    def score(self, options, examples, predictor, context):
        return self.does(examples, context)


def fake(folder: Path, does) -> FineTuner:
    recipe = {
        "name": "tiny",
        "output_dir": str(folder),
        "training": {"max_steps": 2},
        "evaluation": {"evaluators": ["scripted"]},
    }
    return fake_finetuner(recipe, plugins=[Scripted(does)], data=ROWS)


def codes(events: list[object]) -> list[str]:
    return [event.code for event in events if isinstance(event, Notice)]


def test_P90_an_evaluator_that_fails_is_marked_and_the_run_is_over(tmp_path: Path):
    def broken(examples, context):
        raise ZeroDivisionError("no rows")

    events: list[object] = []
    result = fake(tmp_path, broken).train(on_event=events.append)
    assert result.report is not None
    assert [problem.code for problem in result.report.failures] == ["plugin.evaluator-failed"]
    assert result.report.scores == ()
    assert isinstance(events[-1], RunFinished)
    tuner = fake(tmp_path, broken)
    tuner.train(evaluate=False)
    with pytest.raises(LorasdkError, match="no rows"):
        tuner.evaluate()


def test_a_stop_while_comparing_leaves_a_finished_run_without_a_report(tmp_path: Path):
    stop, events = StopToken(), []

    def stopping(examples, context):
        stop.stop()
        context.check_stop()

    result = fake(tmp_path, stopping).train(on_event=events.append, stop=stop)
    assert (result.report, result.stopped, result.steps) == (None, "finished", 2)
    assert "evaluation.stopped" in codes(events)


def test_a_run_that_was_stopped_is_not_compared(tmp_path: Path):
    stop = StopToken()
    stop.stop()
    assert fake(tmp_path, lambda examples, context: [1.0] * len(examples)).train(stop=stop).report is None


@pytest.fixture
def recipe(tiny_model_dir: Path, tmp_path: Path):
    for name, rows in ROWS.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    data = {name: str(tmp_path / f"{name}.jsonl") for name in ROWS}
    return tiny_recipe(tiny_model_dir, tmp_path / "runs", data=data, evaluation={"forgetting": False})


def test_a_run_that_is_interrupted_while_comparing_compares_when_it_goes_on(recipe, tmp_path: Path):
    def interrupted(examples, context):
        raise KeyboardInterrupt

    recipe["evaluation"]["evaluators"] = ["scripted"]
    events: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        FineTuner.from_recipe(recipe, plugins=[Scripted(interrupted)]).train(on_event=events.append)
    assert isinstance(events[-1], RunFailed)
    good = Scripted(lambda examples, context: [1.0] * len(examples))
    result = FineTuner.from_recipe(recipe, plugins=[good]).train(resume="must")
    assert (result.resumed_from, result.steps) == (2, 2)
    assert result.report is not None
    assert result.report.scores[0].tuned == 1.0


def test_an_adapter_is_judged_where_the_training_rows_are_gone(recipe, tmp_path: Path):
    result = FineTuner.from_recipe(recipe).train()
    assert result.report is not None
    assert result.report.overlap is not None
    (tmp_path / "train.jsonl").unlink()
    events: list[object] = []
    report = FineTuner.from_adapter(result.adapter_dir).evaluate(on_event=events.append)
    assert (report.rows, report.overlap) == (6, None)
    assert report.scores == result.report.scores
    assert "evaluation.no-training-rows" in codes(events)


def test_a_report_comes_back_from_another_process_as_it_was(recipe):
    here = FineTuner.from_recipe(recipe).train().report
    there = FineTuner.from_recipe(recipe).start(isolation="process").result(120).report
    assert here is not None
    assert there is not None
    assert (there.scores, there.answers, there.labels) == (here.scores, here.answers, here.labels)


def test_pages_and_model_card_hold_the_results(recipe):
    result = FineTuner.from_recipe(recipe).train()
    assert {path.name for path in result.run_dir.glob("report.*")} == {"report.html", "report.json", "report.md"}
    assert "exact_match" in (result.adapter_dir / "README.md").read_text("utf-8")


def test_pages_that_cannot_be_written_lose_nothing(recipe, monkeypatch, caplog):
    def refuse(*_given, **_more):
        raise OSError("no space")

    monkeypatch.setattr("lorasdk.report.writing.write_report", refuse)
    events: list[object] = []
    result = FineTuner.from_recipe(recipe).train(on_event=events.append)
    assert result.report is not None
    assert "evaluation.unwritten" in codes(events)
    assert "no space" in caplog.text


def test_other_rows_are_judged_from_the_command_line(recipe, tmp_path: Path, capsys):
    result = FineTuner.from_recipe(recipe).train(evaluate=False)
    (tmp_path / "others.jsonl").write_text(json.dumps({"instruction": "say it", "output": "yes"}) + "\n", "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(result.adapter_dir), "--data", str(tmp_path / "others.jsonl"), "--json"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["answers"][0]["prompt"]) == (1, "say it")


def test_a_bound_on_what_is_forgotten_ends_the_command_with_an_error(recipe, tmp_path: Path, capsys):
    recipe["evaluation"] = {"max_forgetting": 1e-9}
    recipe["training"].update({"max_steps": 8, "learning_rate": 0.1})
    (tmp_path / "bound.json").write_text(json.dumps(recipe), "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["train", str(tmp_path / "bound.json")])
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert "nats per token away from the base, at most 1e-09 allowed" in err
    assert "adapter:" in out
    assert list(tmp_path.glob("runs/tiny/run-0001/adapter/lorasdk.json"))
