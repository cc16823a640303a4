import threading
from pathlib import Path

import pytest
import torch
from tiny_training import ROWS, load_tiny, tiny_recipe, tiny_tuner

from lorasdk import (
    AdapterError,
    AdapterSaved,
    DataError,
    FineTuner,
    InferenceError,
    LorasdkError,
    Message,
    Notice,
    PluginError,
    Problem,
    RunFinished,
    RunStarted,
    StepFinished,
    StopToken,
    TrainingError,
)
from lorasdk.artifacts.passport import read_passport

PROMPTS = ["say 3", "say 4"]


@pytest.fixture
def trained(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path, data={"test": 2, "validation": 2}, training={"eval_every_steps": 1})
    return tuner, tuner.train()


def test_a_training_gives_an_adapter_and_answers(trained):
    tuner, result = trained
    assert (result.steps, result.stopped, len(result.history), len(result.validations)) == (2, "finished", 2, 2)
    assert 0 < result.trainable_share < 1
    assert {path.name for path in result.adapter_dir.iterdir()} >= {"adapter_model.safetensors", "lorasdk.json"}
    answers = tuner.infer(PROMPTS)
    assert [answer.completion_tokens > 0 for answer in answers] == [True, True]
    assert tuner.infer("say 3") == answers[0]
    assert "".join(tuner.stream("say 3")) == answers[0].text
    assert tuner.infer([Message("user", "say 3")]) == answers[0]


def test_events_tell_the_story_in_order(tiny_model_dir: Path, tmp_path: Path):
    events = []
    tiny_tuner(tiny_model_dir, tmp_path).train(on_event=events.append)
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        "RunStarted", "DataPrepared", "BaseModelLoaded", "AdapterAttached", "StepFinished", "StepFinished",
        "CheckpointSaved", "AdapterSaved", "RunFinished",
    ]  # fmt: skip


def test_a_failing_observer_is_logged_and_the_run_goes_on(tiny_model_dir: Path, tmp_path: Path, caplog):
    def broken(_event):
        raise ZeroDivisionError

    assert tiny_tuner(tiny_model_dir, tmp_path).train(on_event=broken).steps == 2
    assert "on_event failed at RunStarted" in caplog.text


def test_the_same_recipe_gives_the_same_adapter_bits(tiny_model_dir: Path, tmp_path: Path):
    files = [
        (tiny_tuner(tiny_model_dir, tmp_path / name).train().adapter_dir / "adapter_model.safetensors").read_bytes()
        for name in ("a", "b")
    ]
    assert files[0] == files[1]


def test_a_fresh_tuner_answers_with_the_saved_adapter(trained):
    tuner, result = trained
    for path in (result.adapter_dir, result.run_dir, result.run_dir.parent):
        with FineTuner.from_adapter(path) as later:
            assert later.infer(PROMPTS) == tuner.infer(PROMPTS)
            assert later.infer(PROMPTS, adapter=False) == tuner.infer(PROMPTS, adapter=False)


def test_plain_peft_loads_the_adapter_and_gives_the_same_logits(trained, tiny_model_dir: Path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from lorasdk.basemodel.quiet import quiet

    tuner, result = trained
    ids = torch.tensor([[1, 5, 9, 20, 2]])
    ours = tuner._state._bench.model(input_ids=ids).logits
    with quiet():
        base = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
        plain = PeftModel.from_pretrained(base, result.adapter_dir)
    assert torch.equal(plain(input_ids=ids).logits, ours)


@pytest.mark.parametrize("init", ["pissa", "olora", "corda", "eva", "gaussian", "orthogonal"])
def test_every_initialisation_is_saved_so_that_the_untouched_base_carries_it(tiny_model_dir, tmp_path, init):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from lorasdk.basemodel.quiet import quiet
    from lorasdk.workbench.training_run import TrainingRun

    kept, run = [], TrainingRun.run

    def spy(self, splits):
        result = run(self, splits)
        kept.append(self.bench.model)
        return result

    ids = torch.tensor([[1, 5, 9, 20, 2]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "run", spy)
        tuner = tiny_tuner(tiny_model_dir, tmp_path, lora={"init": init, "rank": 4})
        result = tuner.train()
        ours = kept[0](input_ids=ids).logits
    with quiet():
        base = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
        plain = PeftModel.from_pretrained(base, result.adapter_dir)
    torch.testing.assert_close(plain(input_ids=ids).logits, ours, rtol=1e-3, atol=1e-3)
    untouched = load_tiny(tiny_model_dir).model(input_ids=ids).logits
    tuner.infer("hi", adapter=False)
    with tuner._state._bench.model.disable_adapter():
        assert torch.equal(tuner._state._bench.model(input_ids=ids).logits, untouched)
    assert not list(result.run_dir.glob(".initial*"))


def test_the_passport_says_what_the_adapter_is_made_of(trained, tiny_model_dir: Path):
    tuner, result = trained
    passport = read_passport(result.adapter_dir)
    assert passport.recipe_fingerprint == tuner.recipe.fingerprint
    assert passport.base_model.fingerprint == load_tiny(tiny_model_dir).fingerprint
    assert {name: part.rows for name, part in passport.data.items()} == {"train": 6, "validation": 2, "test": 2}
    assert passport.training.trainable_share == result.trainable_share
    assert passport.training.validation == dict(result.validations[-1].metrics)
    assert {"torch", "transformers", "peft", "lorasdk"} <= passport.versions.keys()


def test_runs_never_overwrite_each_other(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    first, second = tuner.train(), tuner.train()
    assert [result.run_dir.name for result in (first, second)] == ["run-0001", "run-0002"]
    assert first.history == second.history


def test_I98_without_adapter_the_error_says_which_call_is_needed(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    with pytest.raises(InferenceError, match="train\\(\\)") as caught:
        tuner.infer("hi")
    assert caught.value.code == "tuner.no-adapter"
    assert tuner.infer("hi", adapter=False).completion_tokens > 0


def test_I98_a_missing_adapter_folder_is_named(tmp_path: Path):
    with pytest.raises(AdapterError) as caught:
        FineTuner.from_adapter(tmp_path / "gone")
    assert caught.value.code == "adapter.missing"
    assert str(tmp_path / "gone") in str(caught.value)


@pytest.mark.parametrize("value", [0, -3, "many"])
def test_I96_a_bad_generation_setting_is_refused_with_its_range(tiny_model_dir: Path, tmp_path: Path, value):
    with pytest.raises(InferenceError) as caught:
        tiny_tuner(tiny_model_dir, tmp_path).infer("hi", adapter=False, max_new_tokens=value)
    assert caught.value.problems[0].field == "max_new_tokens"
    assert "1" in caught.value.problems[0].allowed


def test_an_unknown_generation_setting_is_refused(tiny_model_dir: Path, tmp_path: Path):
    with pytest.raises(InferenceError, match="temperature"):
        tiny_tuner(tiny_model_dir, tmp_path).infer("hi", adapter=False, temprature=1.0)


def test_a_changed_template_is_refused(trained):
    _, result = trained
    later = FineTuner.from_adapter(result.adapter_dir, overrides={"base_model.chat_template": "chatml"})
    with pytest.raises(AdapterError) as caught:
        later.infer("hi")
    assert caught.value.code == "adapter.template-changed"


def test_damaged_weights_are_refused(trained):
    _, result = trained
    weights = result.adapter_dir / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(AdapterError) as caught:
        FineTuner.from_adapter(result.adapter_dir).infer("hi")
    assert caught.value.code == "adapter.damaged-weights"


def test_M53_another_base_of_the_same_shape_is_refused_unless_allowed(trained, tmp_path: Path):
    from tiny_model import write_tiny_model

    (tmp_path / "other").mkdir()
    other = write_tiny_model(tmp_path / "other", seed=1)
    source = {"base_model.source": str(other)}
    _, result = trained
    with pytest.raises(AdapterError) as caught:
        FineTuner.from_adapter(result.adapter_dir, overrides=source).infer("hi")
    assert caught.value.code == "adapter.base-mismatch"
    allowed = FineTuner.from_adapter(result.adapter_dir, overrides=source, allow_base_mismatch=True)
    assert allowed.infer("hi").completion_tokens > 0


def test_evaluate_scores_base_and_adapter_on_the_test_rows(tiny_model_dir: Path, tmp_path: Path):
    rows = [{"instruction": "say it", "output": "yes"}] * 8
    tuner = tiny_tuner(
        tiny_model_dir,
        tmp_path,
        rows={"train": rows, "test": rows[:3]},
        training={"max_steps": 30, "batch_size": 8},
        evaluation={"max_overlap": None},
    )
    assert tuner.train(evaluate=False).report is None
    report = tuner.evaluate()
    (score,) = report.scores
    assert (report.rows, score.base_rows, score.tuned_rows) == (3, (0.0,) * 3, (1.0,) * 3)
    assert "exact_match" in str(report)


def test_D41_test_rows_that_changed_since_the_training_are_refused(tiny_model_dir: Path, tmp_path: Path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"instruction": "a", "output": "b"}\n' * 3, "utf-8")
    sources = {name: str(tmp_path / f"{name}.jsonl") for name in ("train", "test")}
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data=sources, evaluation={"max_overlap": None})
    result = FineTuner.from_recipe(recipe).train()
    (tmp_path / "test.jsonl").write_text('{"instruction": "a", "output": "c"}\n', "utf-8")
    with pytest.raises(DataError) as caught:
        FineTuner.from_adapter(result.adapter_dir).evaluate()
    assert caught.value.code == "data.changed"


def test_evaluate_without_test_rows_says_what_to_add(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    tuner.train()
    with pytest.raises(DataError, match=r"data\.test"):
        tuner.evaluate()


def test_a_metric_may_be_an_evaluator(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(
        tiny_model_dir, tmp_path, data={"validation": 2}, training={"metric": "exact_match", "keep": "best"}
    )
    assert "exact_match" in tuner.train().validations[0].metrics


def test_P91_an_unknown_metric_is_found_before_any_work(tiny_model_dir: Path, tmp_path: Path):
    with pytest.raises(LorasdkError) as caught:
        tiny_tuner(tiny_model_dir, tmp_path, training={"metric": "bleu"})
    assert caught.value.code == "training.unknown-metric"
    assert "exact_match" in caught.value.problems[0].allowed


def test_all_problems_of_the_second_gate_come_together(tiny_model_dir: Path, tmp_path: Path):
    recipe = tiny_recipe(
        tiny_model_dir,
        tmp_path,
        data={"train": {"loader": "fiel", "path": "x"}, "test": str(tmp_path / "gone.jsonl")},
        evaluation={"evaluators": ["exact_mach"]},
        base_model={"source": str(tmp_path / "no-model")},
    )
    with pytest.raises(LorasdkError) as caught:
        FineTuner.from_recipe(recipe)
    codes = [problem.code for problem in caught.value.problems]
    assert codes.count("plugin.unknown-component") == 2
    assert "data.no-such-file" in codes
    assert len(codes) == 4


def test_no_training_rows_at_all_is_an_error_that_names_both_ways(tiny_model_dir: Path, tmp_path: Path):
    recipe = tiny_recipe(tiny_model_dir, tmp_path)
    del recipe["data"]
    with pytest.raises(LorasdkError) as caught:
        FineTuner.from_recipe(recipe)
    assert caught.value.code == "recipe.no-training-rows"


def test_a_stop_token_ends_the_training_and_the_adapter_is_saved(tiny_model_dir: Path, tmp_path: Path):
    stop = StopToken()
    result = tiny_tuner(tiny_model_dir, tmp_path, training={"max_steps": 50}).train(
        on_event=lambda event: stop.stop() if isinstance(event, StepFinished) else None, stop=stop
    )
    assert (result.stopped, result.steps) == ("requested", 1)
    assert FineTuner.from_adapter(result.adapter_dir).infer("hi").completion_tokens > 0


def test_everything_else_is_refused_while_a_training_runs(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    refused = []

    def ask(event):
        if isinstance(event, StepFinished):
            for call in (tuner.train, lambda: tuner.infer("hi", adapter=False)):
                try:
                    call()
                except (TrainingError, InferenceError) as error:
                    refused.append(error.code)

    tuner.train(on_event=ask)
    assert refused == ["tuner.busy"] * 4


def test_after_a_failed_training_the_tuner_answers_as_before(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    from lorasdk.forward.packed import PackedPasses

    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    tuner.train()
    before = tuner.infer(PROMPTS)

    def fail(*_args):
        raise TrainingError(Problem("training.broken", "broken on purpose"))

    with monkeypatch.context() as patch:
        patch.setattr(PackedPasses, "loss", fail)
        with pytest.raises(TrainingError):
            tuner.train()
    assert tuner.infer(PROMPTS) == before
    assert tuner.train().steps == 2


def test_training_works_in_a_worker_thread(tiny_model_dir: Path, tmp_path: Path):
    results = []
    worker = threading.Thread(target=lambda: results.append(tiny_tuner(tiny_model_dir, tmp_path).train().steps))
    worker.start()
    worker.join()
    assert results == [2]


def test_notices_reach_the_caller(tiny_model_dir: Path, tmp_path: Path):
    events = []
    rows = [{"instruction": "a", "output": "b"}] * 3
    tiny_tuner(tiny_model_dir, tmp_path, rows={"train": rows}).train(on_event=events.append)
    assert [event.code for event in events if isinstance(event, Notice)] == ["data.duplicates"]
    assert [type(e) for e in events if isinstance(e, RunStarted | AdapterSaved | RunFinished)] == [
        RunStarted, AdapterSaved, RunFinished,
    ]  # fmt: skip


def test_D34_a_training_whose_test_rows_are_trained_on_is_refused_before_a_model_is_loaded(
    tiny_model_dir: Path, tmp_path: Path
):
    events: list[object] = []
    tuner = tiny_tuner(tiny_model_dir, tmp_path, rows={"train": ROWS, "test": ROWS[:1]})
    with pytest.raises(DataError, match="1 of 1 test rows ask what a training row asks"):
        tuner.train(on_event=events.append)
    assert [type(event) for event in events] == [Notice]


def test_preview_tells_trained_tokens_apart(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path, data={"test": 2})
    shown = tuner.preview(1)
    assert [row.split for row in shown] == ["train", "test"]
    assert [span.supervised for span in shown[0].spans] == [False, True, False]
    assert shown[0].spans[1].text in {"yes<|im_end|>", "no no<|im_end|>"}
    assert shown[0].supervised_tokens == shown[0].spans[1].tokens


def test_nf4_trains_on_a_cpu_and_answers_from_disk(tmp_path: Path):
    from tiny_model import write_tiny_model

    (tmp_path / "wide").mkdir()
    wide = write_tiny_model(tmp_path / "wide", hidden=64)
    section = {"quantization": "nf4"}
    result = tiny_tuner(wide, tmp_path, base_model=section).train()
    with FineTuner.from_adapter(result.adapter_dir) as later:
        assert later.infer("hi").completion_tokens > 0
    assert read_passport(result.adapter_dir).base_model.quantization == "nf4"


def test_gradient_checkpointing_trains_the_same(tiny_model_dir: Path, tmp_path: Path):
    plain = tiny_tuner(tiny_model_dir, tmp_path).train()
    less = tiny_tuner(tiny_model_dir, tmp_path, training={"gradient_checkpointing": True}).train()
    assert [p.loss for p in less.history] == pytest.approx([p.loss for p in plain.history], rel=1e-5)


def test_a_plugin_object_brings_rows_and_hears_events(tiny_model_dir: Path, tmp_path: Path):
    import pydantic

    import lorasdk

    class Numbers:
        name, summary = "numbers", "even and odd"

        class Options(pydantic.BaseModel, extra="forbid"):
            count: int

        def check(self, options, context):
            return []

        def load(self, options, context):
            yield from ({"instruction": f"{i}?", "output": "odd" if i % 2 else "even"} for i in range(options.count))

    class Plugin:
        heard: list[str]

        def __init__(self):
            self.heard = []

        @lorasdk.hookimpl
        def data_loaders(self):
            return [Numbers()]

        @lorasdk.hookimpl
        def on_event(self, event):
            self.heard.append(type(event).__name__)

    plugin = Plugin()
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data={"train": {"loader": "numbers", "count": 6}})
    FineTuner.from_recipe(recipe, plugins=[plugin]).train()
    assert plugin.heard[0] == "RunStarted"
    with pytest.raises(LorasdkError, match="count"):
        FineTuner.from_recipe({**recipe, "data": {"train": {"loader": "numbers", "cuont": 6}}}, plugins=[plugin])


@pytest.mark.parametrize("rows", [5, "rows.jsonl", {"instruction": "a", "output": "b"}, None])
def test_rows_in_memory_that_are_no_rows_are_refused(tiny_model_dir: Path, tmp_path: Path, rows):
    with pytest.raises(DataError) as caught:
        FineTuner.from_recipe(tiny_recipe(tiny_model_dir, tmp_path), data={"train": rows})
    assert caught.value.code == "data.not-rows"


def test_a_loader_whose_check_fails_is_named(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    from lorasdk.builtin.file_loader import FileLoader

    monkeypatch.setattr(FileLoader, "check", lambda *_args: 1 / 0)
    with pytest.raises(LorasdkError) as caught:
        FineTuner.from_recipe(tiny_recipe(tiny_model_dir, tmp_path))
    assert caught.value.code == "plugin.check-failed"
    assert "'file'" in str(caught.value)


def test_a_launcher_with_several_processes_is_refused(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError) as caught:
        tiny_tuner(tiny_model_dir, tmp_path).train()
    assert caught.value.code == "tuner.several-processes"
    assert not list(tmp_path.iterdir())


def test_a_saved_adapter_answers_where_its_loader_and_evaluator_are_unknown(tiny_model_dir: Path, tmp_path: Path):
    recipe = tiny_recipe(tiny_model_dir, tmp_path, data={"train": {"loader": "here"}, "test": {"loader": "here"}})
    recipe["evaluation"] = {"evaluators": ["liked"], "max_overlap": None}
    functions = {
        "loaders": {"here": lambda: ROWS[:6]},
        "evaluators": {"liked": lambda answer, reference: float(answer == reference)},
    }
    with FineTuner.from_recipe(recipe, **functions) as tuner:
        adapter_dir, answer = tuner.train(evaluate=False).adapter_dir, tuner.infer("hi")
    with FineTuner.from_adapter(adapter_dir) as elsewhere:
        assert elsewhere.infer("hi") == answer
        with pytest.raises(PluginError) as caught:
            elsewhere.evaluate()
    assert [problem.found for problem in caught.value.problems] == ["'here'", "'here'", "'liked'"]


def test_rows_that_were_held_out_from_rows_in_memory_are_not_there_elsewhere(tiny_model_dir: Path, tmp_path: Path):
    with tiny_tuner(tiny_model_dir, tmp_path, data={"train": None, "test": 0.2, "validation": 0.2}) as tuner:
        adapter_dir = tuner.train(evaluate=False).adapter_dir
    with FineTuner.from_adapter(adapter_dir) as elsewhere, pytest.raises(DataError) as caught:
        elsewhere.evaluate()
    assert caught.value.code == "data.no-test-rows"
