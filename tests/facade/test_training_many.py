"""Several recipes over one base: each as it would be alone, to the bit, whatever happens to the others."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from ruamel.yaml import YAML
from tiny_model import write_tiny_model
from tiny_training import tiny_recipe
from transformers import PreTrainedModel

from lorasdk import (
    BaseModelLoaded,
    DataError,
    FineTuner,
    LorasdkError,
    PluginError,
    RecipeError,
    RunFailed,
    RunFinished,
    RunStarted,
    StepFinished,
    StopToken,
    TrainingError,
    hookimpl,
    read_events,
)
from lorasdk.artifacts.passport import read_passport

NEVER_ALIKE = {"created", "seconds", "peak_memory_bytes"}
"""What a passport says of the day and the machine's load."""


def rows(folder: Path, name: str, answer: str, count: int = 8) -> str:
    path = folder / f"{name}.jsonl"
    lines = [json.dumps({"instruction": f"say {name} {i}", "output": f"{answer} {i}"}) for i in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def recipe(model: Path, folder: Path, name: str, answer: str = "yes", **sections: Any) -> dict[str, Any]:
    data = {"train": rows(folder, name, answer), **sections.pop("data", {})}
    evaluation = {"forgetting": False, **sections.pop("evaluation", {})}
    made = tiny_recipe(model, folder / "runs", data=data, evaluation=evaluation, **sections)
    return {**made, "name": name}


def alone(made: dict[str, Any], folder: Path, **options: Any) -> Path:
    with FineTuner.from_recipe({**made, "output_dir": str(folder / "alone")}, discover=False) as tuner:
        return tuner.train(**options).adapter_dir


def together(recipes: list[Any], **options: Any):
    return FineTuner.train_many(recipes, **{"discover": False, **options})


def facts(adapter_dir: Path) -> tuple[bytes, bytes, dict[str, Any]]:
    passport = read_passport(adapter_dir).model_dump(mode="json")
    passport["recipe"].pop("output_dir")
    kept = {key: value for key, value in passport.items() if key not in NEVER_ALIKE}
    kept["training"] = {key: value for key, value in passport["training"].items() if key not in NEVER_ALIKE}
    files = [(adapter_dir / name).read_bytes() for name in ("adapter_model.safetensors", "adapter_config.json")]
    return (*files, kept)


def loaded_anew(run_dir: Path) -> list[bool]:
    events = read_events(run_dir / "events.jsonl")
    return [event.seconds > 0 for event in events if isinstance(event, BaseModelLoaded)]


def models_in_memory(kind: type) -> int:
    gc.collect()
    # Not isinstance, which asks lazy things of libraries what they are.
    return sum(issubclass(type(thing), kind) for thing in gc.get_objects())


def stop_at(step: int, *, in_run: str, stop: StopToken):
    """An observer that throws the switch at a step of one recipe."""
    names: list[str] = []

    def watch(event: object) -> None:
        if isinstance(event, RunStarted):
            names.append(event.recipe_name)
        if isinstance(event, StepFinished) and (names[-1], event.step) == (in_run, step):
            stop.stop()

    return watch


def test_each_adapter_has_the_bits_it_would_have_alone(tiny_model_dir: Path, tmp_path: Path):
    twice = {"max_steps": None, "epochs": 2, "seed": 7}
    recomputed = {"gradient_checkpointing": True, "micro_batch": 1}
    recipes = [
        recipe(tiny_model_dir, tmp_path, "plain"),
        recipe(tiny_model_dir, tmp_path, "dropout", "no", lora={"dropout": 0.3, "rank": 4}, training=twice),
        recipe(tiny_model_dir, tmp_path, "targets", lora={"targets": ["q_proj"], "dora": True}, training=recomputed),
        recipe(tiny_model_dir, tmp_path, "tested", "no no", data={"test": 2, "validation": 2}, training={"seed": 1}),
        recipe(tiny_model_dir, tmp_path, "layers", lora={"layers": [1], "init": "gaussian"}, training={"max_steps": 8}),
        recipe(tiny_model_dir, tmp_path, "output", lora={"modules_to_save": ["norm"], "dropout": 0.1}),
        recipe(tiny_model_dir, tmp_path, "last"),
    ]
    outcomes = list(together(recipes))
    assert [(outcome.index, outcome.recipe.name) for outcome in outcomes] == list(enumerate(r["name"] for r in recipes))
    assert [loaded_anew(outcome.result().run_dir) for outcome in outcomes] == [[True], *[[False]] * 6]
    for outcome, made in zip(outcomes, recipes, strict=True):
        assert facts(outcome.result().adapter_dir) == facts(alone(made, tmp_path)), made["name"]


@pytest.mark.parametrize(
    ("changing", "loads"),
    [
        ({"init": "pissa"}, [[True], [False, True], [False]]),
        ({"init": "corda"}, [[True], [False, True], [False]]),
        ({"bias": "all"}, [[True], [False], [True]]),
    ],
    ids=["pissa", "corda", "bias"],
)
def test_a_base_that_a_run_changes_is_loaded_anew(tmp_path: Path, changing, loads):
    """PiSSA and CorDA are compared on a base loaded anew, which the next run may have; biases leave none."""
    model = write_tiny_model(tmp_path / "model", hidden=64)
    _with_biases(model)
    recipes = [
        recipe(model, tmp_path, "before"),
        recipe(model, tmp_path, "changing", lora={"rank": 2, **changing}, data={"test": 2}),
        recipe(model, tmp_path, "after"),
    ]
    outcomes = list(together(recipes))
    assert [loaded_anew(outcome.result().run_dir) for outcome in outcomes] == loads
    for outcome, made in zip(outcomes, recipes, strict=True):
        assert facts(outcome.result().adapter_dir) == facts(alone(made, tmp_path)), made["name"]


@pytest.mark.parametrize("held", ["nf4", "int8"])
def test_a_quantised_base_is_shared(tmp_path: Path, held: str):
    model = write_tiny_model(tmp_path / "model", hidden=64)
    base = {"quantization": held}
    recipes = [
        recipe(model, tmp_path, name, name, base_model=base, lora={"dropout": 0.1}, data={"test": 2})
        for name in ("one", "two")
    ]
    outcomes = list(together(recipes))
    assert [loaded_anew(outcome.result().run_dir) for outcome in outcomes] == [[True], [False]]
    for outcome, made in zip(outcomes, recipes, strict=True):
        assert facts(outcome.result().adapter_dir) == facts(alone(made, tmp_path))
        assert outcome.result().report is not None


def failing_second(model: Path, folder: Path) -> list[dict[str, Any]]:
    """Three recipes; the second watches an evaluator that fails after two steps."""
    watching = {"metric": "broken", "max_steps": 4, "eval_every_steps": 2}
    broken = {
        "data": {"validation": 2},
        "training": watching,
        "evaluation": {"evaluators": [{"name": "broken"}]},
    }
    return [
        recipe(model, folder, "first"),
        recipe(model, folder, "second", **broken),
        recipe(model, folder, "third", "no", lora={"dropout": 0.2}),
    ]


def broken(answer: str) -> float:
    return len(answer) / 0


def test_a_run_that_fails_costs_the_others_nothing_when_asked_so(tiny_model_dir: Path, tmp_path: Path):
    recipes = failing_second(tiny_model_dir, tmp_path)
    outcomes = list(together(recipes, evaluators={"broken": broken}, on_error="continue"))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    with pytest.raises(PluginError, match="division by zero"):
        outcomes[1].result()
    assert isinstance(list(read_events(tmp_path / "runs/second/run-0001/events.jsonl"))[-1], RunFailed)
    assert loaded_anew(outcomes[2].result().run_dir) == [True]  # in an unknown state, the base is not used any further
    for index in (0, 2):
        assert facts(outcomes[index].result().adapter_dir) == facts(alone(recipes[index], tmp_path))


def test_a_run_that_fails_is_raised_and_names_its_recipe(tiny_model_dir: Path, tmp_path: Path):
    before = models_in_memory(PreTrainedModel)
    outcomes = together(failing_second(tiny_model_dir, tmp_path), evaluators={"broken": broken})
    assert next(outcomes).result().steps == 2
    with pytest.raises(PluginError, match="division by zero") as caught:
        next(outcomes)
    assert caught.value.__notes__ == ["in recipe 2 of 3: second"]
    assert models_in_memory(PreTrainedModel) == before
    assert list(outcomes) == []


def test_rows_that_cannot_be_used_do_not_cost_the_base(tiny_model_dir: Path, tmp_path: Path):
    recipes = [recipe(tiny_model_dir, tmp_path, name) for name in ("first", "second", "third")]
    (tmp_path / "second.jsonl").write_text("{")
    outcomes = list(together(recipes, on_error="continue"))
    assert isinstance(outcomes[1].error, DataError)
    assert loaded_anew(outcomes[2].result().run_dir) == [False]


def test_a_stop_ends_the_run_and_begins_no_other(tiny_model_dir: Path, tmp_path: Path):
    recipes = [recipe(tiny_model_dir, tmp_path, name, training={"max_steps": 4}) for name in ("one", "two", "three")]
    stop = StopToken()
    outcomes = list(together(recipes, stop=stop, on_event=stop_at(2, in_run="two", stop=stop)))
    assert [(o.recipe.name, o.result().stopped, o.result().steps) for o in outcomes] == [
        ("one", "finished", 4),
        ("two", "requested", 2),
    ]
    left = list(together(recipes[1:], resume="auto"))
    assert [o.result().resumed_from for o in left] == [2, 0]
    weights = [o.result().adapter_dir / "adapter_model.safetensors" for o in left]
    whole = [alone(made, tmp_path) / "adapter_model.safetensors" for made in recipes[1:]]
    assert [path.read_bytes() for path in weights] == [path.read_bytes() for path in whole]


def test_an_abandoned_run_is_an_error(tiny_model_dir: Path, tmp_path: Path):
    stop = StopToken()
    stop.stop(save=False)
    assert list(together([recipe(tiny_model_dir, tmp_path, "one")], stop=stop)) == []
    stop = StopToken()

    def watch(event: object) -> None:
        if isinstance(event, StepFinished):
            stop.stop(save=False)

    recipes = [recipe(tiny_model_dir, tmp_path, name) for name in ("one", "two")]
    (outcome,) = together(recipes, stop=stop, on_event=watch, on_error="continue")
    assert isinstance(outcome.error, TrainingError)


def test_memory_of_a_run_is_given_back_before_the_next_and_all_of_it_at_the_end(tiny_model_dir: Path, tmp_path: Path):
    adapted, bases = models_in_memory(PeftModel), models_in_memory(PreTrainedModel)
    recipes = [recipe(tiny_model_dir, tmp_path, name, data={"test": 2}) for name in ("one", "two", "three")]
    outcomes = together(recipes)
    assert models_in_memory(PreTrainedModel) == bases  # nothing is loaded before it is asked for
    for _ in range(2):
        next(outcomes)
        assert models_in_memory(PeftModel) == adapted
        assert models_in_memory(PreTrainedModel) == bases + 2  # the causal model, and the one inside it
    outcomes.close()
    assert models_in_memory(PreTrainedModel) == bases
    assert not (tmp_path / "runs" / "three").exists()


def test_observers_learn_which_run_it_is(tiny_model_dir: Path, tmp_path: Path):
    heard: list[tuple[str, Path | None]] = []

    class Observer:
        @hookimpl
        def on_event(self, event: object, run_dir: Path | None) -> None:
            if isinstance(event, RunStarted | StepFinished | RunFinished):
                heard.append((type(event).__name__, run_dir))

    recipes = [recipe(tiny_model_dir, tmp_path, name) for name in ("one", "two")]
    outcomes = list(together(recipes, plugins=[Observer()]))
    kinds = ["RunStarted", "StepFinished", "StepFinished", "RunFinished"]
    assert heard == [(kind, outcome.result().run_dir) for outcome in outcomes for kind in kinds]
    for outcome in outcomes:
        logged = [type(event).__name__ for event in read_events(outcome.result().run_dir / "events.jsonl")]
        assert [name for name in logged if name in kinds] == kinds
        assert not (outcome.result().run_dir / "lock.json").exists()


def write(folder: Path, made: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{made['name']}.yaml"
    with path.open("w") as file:
        YAML().dump(made, file)
    return path


def test_recipes_with_another_base_are_refused_with_both_places(tiny_model_dir: Path, tmp_path: Path):
    first, second, third = (recipe(tiny_model_dir, tmp_path, name) for name in ("first", "second", "third"))
    second["base_model"] |= {"dtype": "bfloat16", "chat_template": "chatml"}
    third["base_model"] |= {"quantization": "int8"}
    paths = [write(tmp_path, made) for made in (first, second)]
    with pytest.raises(RecipeError) as caught:
        together([*paths, third])
    problems = caught.value.problems
    assert [(each.code, each.field, each.found) for each in problems] == [
        ("recipe.other-base", "base_model.dtype", "'bfloat16'"),
        ("recipe.other-base", "base_model.chat_template", "'chatml'"),
        ("recipe.other-base", "base_model.quantization", "'int8'"),
    ]
    assert problems[0].place.startswith(f"{paths[1]}:")
    assert problems[0].allowed.startswith(f"'float32', as at {paths[0]}:")
    assert problems[2].place == "recipes[2] (third)"
    assert not (tmp_path / "runs").exists()


def test_a_token_is_compared_and_not_shown(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUB_TOKEN", "hf_secret")
    recipes = [recipe(tiny_model_dir, tmp_path, name) for name in ("first", "second")]
    recipes[1]["base_model"]["token"] = "${env:HUB_TOKEN}"
    with pytest.raises(RecipeError) as caught:
        together(recipes)
    assert (caught.value.problems[0].found, "hf_secret" in str(caught.value)) == ("a token", False)


def test_a_path_counts_and_not_its_spelling(tmp_path: Path):
    for name in ("a", "b"):
        write_tiny_model(tmp_path / name / "model", seed=ord(name))
    texts = {
        "a": recipe(Path("model"), tmp_path, "one"),
        "b": recipe(Path("model"), tmp_path, "two"),
    }
    paths = [write(tmp_path / name, made) for name, made in texts.items()]
    with pytest.raises(RecipeError) as caught:
        together(paths)
    assert caught.value.problems[0].found == f"'model' ({tmp_path / 'b' / 'model'})"
    same = write(tmp_path / "b", recipe(Path("../a/model"), tmp_path, "three"))
    together([paths[0], same]).close()


def test_every_recipe_is_read_before_any_is_refused(tiny_model_dir: Path, tmp_path: Path):
    recipes = [recipe(tiny_model_dir, tmp_path, name) for name in ("first", "second", "third")]
    recipes[0]["lora"] = {"ranks": 4}
    recipes[2]["training"] = {"epoch": 4}
    with pytest.raises(LorasdkError) as caught:
        together(recipes)
    assert [(each.place, each.field) for each in caught.value.problems] == [
        ("recipes[0]", "lora.ranks"),
        ("recipes[2]", "training.epoch"),
    ]


def test_one_recipe_may_come_several_times_but_not_be_resumed_so(tiny_model_dir: Path, tmp_path: Path):
    made = recipe(tiny_model_dir, tmp_path, "same")
    outcomes = list(together([made, made], overrides=["training.max_steps=1"]))
    assert [outcome.result().run_dir.name for outcome in outcomes] == ["run-0001", "run-0002"]
    with pytest.raises(RecipeError) as caught:
        together([made, made], resume="auto")
    assert caught.value.code == "recipe.same-runs"


def test_no_recipes_give_no_outcomes():
    assert list(together([])) == []


def _with_biases(model: Path) -> None:
    """Give the attention of a tiny model biases."""
    import torch
    from safetensors.torch import load_file, save_file

    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "attention_bias": True}))
    weights = load_file(model / "model.safetensors")
    for name in [name for name in weights if "self_attn" in name]:
        weights[name.replace(".weight", ".bias")] = torch.full((weights[name].shape[0],), 0.1)
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
