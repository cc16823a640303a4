"""A host's own tests: what it sees of a fake tuner is what it would see of a real one."""

import queue
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lorasdk import (
    AdapterError,
    AdapterSaved,
    Ask,
    BaseModelLoaded,
    Completion,
    DataError,
    EvaluationFinished,
    Message,
    PluginError,
    RecipeError,
    ResourceError,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
    StopToken,
    TrainingError,
    hookimpl,
    read_events,
)
from lorasdk.asking import Update
from lorasdk.errors import Problem
from lorasdk.testing import FakeEngine, fake_finetuner

ROWS = [{"instruction": f"Is {n} even?", "output": "no" if n % 2 else "yes"} for n in range(20)]
ANSWERS = {row["instruction"]: row["output"] for row in ROWS}


def tuner(folder: Path, engine: FakeEngine | None = None, **sections):
    recipe = {"name": "parity", "output_dir": str(folder), "data": {"test": 4, "validation": 2}, **sections}
    return fake_finetuner(recipe, engine=engine, data={"train": ROWS})


def test_a_training_looks_like_one(tmp_path: Path):
    events: list[object] = []
    result = tuner(tmp_path, training={"max_steps": 4, "eval_every_steps": 2}).train(on_event=events.append)
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        "RunStarted", "DataPrepared", "DataPrepared", "DataPrepared", "BaseModelLoaded", "AdapterAttached",
        "StepFinished", "StepFinished", "EvaluationFinished", "StepFinished", "StepFinished", "EvaluationFinished",
        "AdapterSaved", "ComparisonFinished", "RunFinished",
    ]  # fmt: skip
    assert (result.steps, result.stopped, len(result.history), len(result.validations)) == (4, "finished", 4, 2)
    assert result.history[0].loss > result.history[-1].loss
    assert [type(event) for event in read_events(result.run_dir / "events.jsonl")] == [type(event) for event in events]
    assert (result.run_dir / "recipe.yaml").is_file()


def test_answers_and_comparisons_are_those_of_the_test(tmp_path: Path):
    engine = FakeEngine(answers=ANSWERS, base_answers="4 is a number.")
    with tuner(tmp_path, engine, training={"max_steps": 1}) as fake:
        assert fake.infer("Is 4 even?", adapter=False).text == "4 is a number."
        result = fake.train()
        assert result.report is not None
        assert (result.report.scores[0].tuned, result.report.answers[0].base) == (1, "4 is a number.")
        assert fake.infer(["Is 3 even?", "Is 4 even?"])[0].text == "no"
        assert "".join(fake.stream("Is 4 even?", adapter=False)) == "4 is a number."
        (score,) = fake.evaluate().scores
        assert (score.base, score.tuned) == (0, 1)
        assert [row.split for row in fake.preview(1)] == ["train", "validation", "test"]
        assert Path(fake.export(tmp_path / "merged")) == tmp_path / "merged"


def test_a_stop_leaves_an_adapter_and_the_run_goes_on_from_it(tmp_path: Path):
    stop = StopToken()

    def watch(event: object) -> None:
        if isinstance(event, StepFinished) and event.step == 2:
            stop.stop()

    fake = tuner(tmp_path, training={"max_steps": 4})
    result = fake.train(on_event=watch, stop=stop)
    assert (result.stopped, result.steps) == ("requested", 2)
    result = fake.train(resume="must")
    assert (result.resumed_from, result.steps, result.stopped) == (2, 4, "finished")


def test_a_stop_without_saving_raises_as_it_does(tmp_path: Path):
    stop = StopToken()
    stop.stop(save=False)
    with pytest.raises(TrainingError) as caught:
        tuner(tmp_path).train(stop=stop)
    assert caught.value.code == "run.abandoned"


def test_a_failure_comes_when_the_test_wants_it(tmp_path: Path):
    error = ResourceError(Problem("resource.disk", "the disk is full"))
    run = tuner(tmp_path, FakeEngine(fails_at=2, error=error), training={"max_steps": 3}).start()
    with pytest.raises(ResourceError, match="the disk is full"):
        run.result()
    kinds = [type(event) for event in run.events()]
    assert kinds.count(StepFinished) == 1
    assert kinds[-1] is RunFailed


def test_a_run_in_the_background_can_be_stopped(tmp_path: Path):
    run = tuner(tmp_path, FakeEngine(seconds_per_step=0.005), training={"max_steps": 10_000}).start()
    for event in run.events():
        if isinstance(event, StepFinished):
            run.stop()
            break
    assert run.result().stopped == "requested"


def test_another_process_would_have_the_real_engine(tmp_path: Path):
    with pytest.raises(TrainingError) as caught:
        tuner(tmp_path).start(isolation="process")
    assert caught.value.code == "run.fake-cannot-cross"


def test_recipe_and_rows_are_checked_as_always(tmp_path: Path):
    with pytest.raises(RecipeError):
        fake_finetuner({"name": "parity", "data": {"tset": 4}}, data={"train": ROWS})
    with pytest.raises(DataError):
        fake_finetuner({"name": "parity", "data": {"train": str(tmp_path / "none.jsonl")}})
    missing = fake_finetuner(
        {"name": "x", "output_dir": str(tmp_path), "base_model": {"source": str(tmp_path / "no-model")}},
        data={"train": ROWS},
    )
    assert missing.train().steps == 9


def test_a_watched_evaluator_is_asked(tmp_path: Path):
    seen: list[object] = []
    fake = tuner(tmp_path, FakeEngine(answers=ANSWERS), training={"max_steps": 1, "metric": "exact_match"})
    fake.train(on_event=seen.append)
    assert next(event for event in seen if isinstance(event, EvaluationFinished)).metrics["exact_match"] == 1
    assert {RunStarted, BaseModelLoaded, AdapterSaved, RunFinished} <= {type(event) for event in seen}
    assert RunStopped not in {type(event) for event in seen}


def test_no_model_library_is_imported(tmp_path: Path):
    program = f"""
import sys
from lorasdk.testing import FakeEngine, check_plugin, fake_finetuner
recipe = {{"name": "p", "output_dir": {str(tmp_path)!r}, "data": {{"test": 1}}, "training": {{"max_steps": 1}}}}
with fake_finetuner(recipe, data={{"train": [{{"instruction": a, "output": "b"}} for a in "abc"]}}) as tuner:
    tuner.train()
    tuner.evaluate()
    tuner.infer("a")
print(sorted({{"torch", "transformers", "peft", "bitsandbytes", "datasets"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_two_tuners_do_not_see_each_others_plugins(tmp_path: Path):
    def only_here(answer: str) -> float:
        return 1.0

    heard: list[object] = []

    class Listener:
        @hookimpl
        def on_event(self, event):
            heard.append(event)

    recipe = {"name": "parity", "output_dir": str(tmp_path), "evaluation": {"evaluators": ["mine"]}}
    first = fake_finetuner(recipe, evaluators={"mine": only_here}, plugins=[Listener()], data={"train": ROWS})
    with pytest.raises(PluginError, match="no evaluator is called 'mine'"):
        fake_finetuner(recipe, data={"train": ROWS})
    second = fake_finetuner({**recipe, "evaluation": {}}, data={"train": ROWS})
    second.train()
    assert heard == []
    first.train()
    assert heard


def test_observers_are_told_which_run_an_event_belongs_to(tmp_path: Path):
    heard: list[tuple[str, Path | None]] = []

    class Listener:
        @hookimpl
        def on_event(self, event, run_dir):
            heard.append((type(event).__name__, run_dir))

    fake = fake_finetuner(
        {"name": "parity", "output_dir": str(tmp_path), "training": {"max_steps": 1}, "data": {"test": 2}},
        plugins=[Listener()],
        data={"train": ROWS},
    )
    result = fake.train()
    assert {run_dir for _, run_dir in heard} == {result.run_dir}
    heard.clear()
    fake.evaluate()
    assert ("ComparisonFinished", None) in heard


def test_what_a_fake_adapter_forgets_is_said_by_the_test_and_bounded_by_the_recipe(tmp_path: Path):
    engine = FakeEngine(forgetting=replace(FakeEngine().forgetting, divergence=0.4))
    events: list[object] = []
    with tuner(tmp_path, engine, evaluation={"max_forgetting": 0.3}) as fake:
        found = fake._state.bench(events.append).forgetting(emit=events.append, stop=StopToken())
    assert (found.divergence, found.bound, found.within) == (0.4, 0.3, False)
    assert [event.code for event in events] == ["evaluation.forgotten"]


def test_adapters_beside_a_fake_model_answer_what_the_test_says(tmp_path: Path):
    engine = FakeEngine(answers=ANSWERS, base_answers="?", adapter_answers={"odd": "an odd answer"})
    with tuner(tmp_path / "odd", engine, name="odd", lora={"rank": 3}, training={"max_steps": 1}) as other:
        adapter_dir = other.train().adapter_dir
    with tuner(tmp_path, engine, training={"max_steps": 1}) as fake:
        info = fake.adapters.load("beside", adapter_dir)
        assert (info.rank, info.recipe_name, info.resident) == (3, "odd", True)
        fake.train()
        found = fake.infer("Is 4 even?", adapter=["beside", True, False])
        assert [answer.text for answer in found] == ["an odd answer", "yes", "?"]
        assert "".join(fake.stream("Is 4 even?", adapter="beside")) == "an odd answer"


def test_a_fake_scheduler_answers_for_any_mix(tmp_path: Path):
    heard: queue.SimpleQueue[Update] = queue.SimpleQueue()
    with tuner(tmp_path, FakeEngine(answers=ANSWERS, base_answers="a base answer"), training={"max_steps": 1}) as fake:
        fake.train()
        scheduler = fake.open_scheduler()
        for adapter in (True, False):
            scheduler.submit(Ask((Message("user", "Is 3 even?"),), adapter), heard.put)
        texts = set()
        while len(texts) < 2:
            update = heard.get(timeout=10)
            texts |= {update.text} if isinstance(update, Completion) else set()
        assert texts == {"no", "a base answer"}
        with pytest.raises(AdapterError):
            scheduler.submit(Ask("x", "nobody"), heard.put)
    assert not scheduler.open
