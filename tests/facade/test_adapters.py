import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model
from tiny_training import tiny_tuner

from lorasdk import AdapterError, FineTuner, InferenceError, TrainingError
from lorasdk.artifacts.adapter_folder import WEIGHTS
from lorasdk.inference.reading import Reader

TARGETS = (["q_proj"], ["q_proj", "v_proj"], "all-linear")
PROMPTS = ["say 1", "say 2", "say 3", "hello"]


def train(model: Path, out: Path, letter: str, **sections: dict[str, object]) -> Path:
    rows = [{"instruction": f"say {j}", "output": f"{letter}{j} ok"} for j in range(10)]
    sections = {"training": {"max_steps": 25, "learning_rate": 3e-2}, **sections}
    with tiny_tuner(model, out, rows={"train": rows}, **sections) as tuner:
        return tuner.train().adapter_dir


@pytest.fixture(scope="module")
def folders(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three adapters of other ranks and layers that answer differently."""
    out = tmp_path_factory.mktemp("adapters")
    return {
        name: train(tiny_model_dir, out / name, name, lora={"rank": 4 * (i + 1), "targets": TARGETS[i]})
        for i, name in enumerate("abc")
    }


@pytest.fixture(scope="module")
def answers(folders: dict[str, Path]) -> dict[str | bool, list[str]]:
    """What each adapter answers when it is the only one, and the base."""
    found: dict[str | bool, list[str]] = {}
    for name, folder in folders.items():
        with FineTuner.from_adapter(folder) as tuner:
            found[name] = [answer.text for answer in tuner.infer(PROMPTS)]
            found[False] = [answer.text for answer in tuner.infer(PROMPTS, adapter=False)]
    assert len({tuple(texts) for texts in found.values()}) == 4
    return found


@pytest.fixture
def tuner(folders: dict[str, Path]) -> Iterator[FineTuner]:
    with FineTuner.from_adapter(folders["a"]) as tuner:
        for name, folder in folders.items():
            tuner.adapters.load(name, folder)
        yield tuner


def test_a_named_adapter_answers_as_if_it_were_the_only_one(tuner, answers):
    for name in "abc":
        assert [answer.text for answer in tuner.infer(PROMPTS, adapter=name)] == answers[name]
        assert "".join(tuner.stream(PROMPTS[0], adapter=name)) == answers[name][0]


def test_requests_for_many_adapters_and_the_base_are_one_batch(tuner, answers, monkeypatch):
    rows, read = [], Reader.read
    monkeypatch.setattr(Reader, "read", lambda self, ids, **rest: (rows.append(len(ids)), read(self, ids, **rest))[1])
    found = tuner.infer([PROMPTS[0]] * 5, adapter=["c", "a", False, "b", True])
    assert [answer.text for answer in found] == [answers[name][0] for name in ("c", "a", False, "b", "a")]
    assert rows[0] == 5


def test_one_prompt_may_be_asked_of_many(tuner, answers):
    found = tuner.infer(PROMPTS[1], adapter=["b", False, "c"])
    assert [answer.text for answer in found] == [answers[name][1] for name in ("b", False, "c")]


def test_as_many_adapters_as_prompts_must_be_named(tuner):
    with pytest.raises(InferenceError) as caught:
        tuner.infer(PROMPTS, adapter=["a", "b"])
    assert caught.value.code == "inference.other-number"


def test_a_tuner_that_has_not_trained_answers_with_loaded_adapters(folders, answers, tiny_model_dir, tmp_path):
    with tiny_tuner(tiny_model_dir, tmp_path) as tuner:
        tuner.adapters.load("b", folders["b"].parent)
        assert tuner.infer(PROMPTS[0], adapter="b").text == answers["b"][0]
        with pytest.raises(InferenceError) as caught:
            tuner.infer(PROMPTS[0], adapter=["b", True])
    assert caught.value.code == "tuner.no-adapter"


def test_names_are_told_and_forgotten(tuner, folders):
    listed = tuner.adapters.list()
    assert [(each.name, each.rank, each.recipe_name, each.resident) for each in listed] == [
        ("a", 4, "tiny", True),
        ("b", 8, "tiny", True),
        ("c", 12, "tiny", True),
    ]
    assert [each.folder for each in listed] == [folders[name] for name in "abc"]
    weights = load_file(folders["b"] / WEIGHTS)
    assert listed[1].bytes == sum(tensor.nbytes for tensor in weights.values())
    tuner.adapters.unload("b")
    with pytest.raises(AdapterError) as caught:
        tuner.infer("say 1", adapter="b")
    assert caught.value.code == "adapter.unknown"
    assert "a, c" in str(caught.value)
    with pytest.raises(AdapterError):
        tuner.adapters.unload("b")


def test_a_name_is_given_to_another_adapter_only_when_that_is_meant(tuner, folders, answers):
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.load("a", folders["c"])
    assert caught.value.code == "adapter.name-taken"
    assert tuner.infer(PROMPTS[0], adapter="a").text == answers["a"][0]
    tuner.adapters.load("a", folders["c"], replace=True)
    assert tuner.infer(PROMPTS[0], adapter="a").text == answers["c"][0]


@pytest.mark.parametrize("name", ["", "two words", "-a", "a\n", "x" * 129])
def test_a_name_that_requests_could_not_hold_is_refused(tuner, folders, name: str):
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.load(name, folders["a"])
    assert caught.value.code == "adapter.bad-name"


def test_under_traffic_every_answer_is_wholly_the_old_one_or_the_new_one(tuner, folders, answers):
    found: list[tuple[str, ...]] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            found.append(tuple(answer.text for answer in tuner.infer(PROMPTS, adapter="b")))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        tuner.adapters.load("b", folders["cb"[turn % 2]], replace=True)
    enough.set()
    for thread in threads:
        thread.join()
    assert set(found) <= {tuple(answers["b"]), tuple(answers["c"])}
    assert tuner.infer(PROMPTS[0], adapter="b").text == answers["b"][0]


def test_I97_eight_threads_that_ask_different_adapters_get_the_serial_answers(tuner, answers):
    asked = [(name, i) for name in ("a", "b", "c", False) for i in range(4)] * 2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: tuner.infer(PROMPTS[one[1]], adapter=one[0]).text, asked))
    assert found == [answers[name][i] for name, i in asked]


def test_bounded_by_number_the_least_recently_used_goes_first_and_comes_back(tuner, answers):
    tuner.infer("x", adapter="a")
    tuner.adapters.keep_at_most(count=2)
    assert [each.resident for each in tuner.adapters.list()] == [True, False, True]
    assert tuner.infer(PROMPTS[0], adapter="b").text == answers["b"][0]
    assert [each.resident for each in tuner.adapters.list()] == [True, True, False]


def test_bounded_by_memory_and_what_is_too_large_alone_is_refused(tuner, folders):
    sizes = {each.name: each.bytes for each in tuner.adapters.list()}
    tuner.adapters.keep_at_most(gigabytes=(sizes["b"] + sizes["a"]) / 1e9)
    assert [each.resident for each in tuner.adapters.list()] == [False, False, False]
    tuner.infer("x", adapter="b")
    tuner.infer("x", adapter="a")
    assert [each.resident for each in tuner.adapters.list()] == [True, True, False]
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.load("large", folders["c"])
    assert caught.value.code == "adapter.too-large"
    assert [each.name for each in tuner.adapters.list()] == ["a", "b", "c"]


@pytest.mark.parametrize("bound", [{"count": 0}, {"gigabytes": 0.0}, {"gigabytes": float("nan")}])
def test_a_bound_is_positive(tuner, bound):
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.keep_at_most(**bound)
    assert caught.value.code == "adapter.bad-bound"


def test_what_was_let_go_of_and_replaced_on_disk_is_not_mistaken_for_what_was_loaded(tuner, folders, tmp_path):
    shutil.copytree(folders["b"], tmp_path / "moving")
    tuner.adapters.load("moving", tmp_path / "moving")
    tuner.close()
    shutil.rmtree(tmp_path / "moving")
    shutil.copytree(folders["c"], tmp_path / "moving")
    with pytest.raises(AdapterError) as caught:
        tuner.infer("say 1", adapter="moving")
    assert caught.value.code == "adapter.changed-on-disk"


def test_closing_lets_go_of_matrices_and_keeps_names(tuner, answers):
    tuner.close()
    assert not any(each.resident for each in tuner.adapters.list())
    assert tuner.infer(PROMPTS[0], adapter="c").text == answers["c"][0]


def test_a_training_keeps_the_adapters_beside_it(folders, answers, tiny_model_dir: Path, tmp_path: Path):
    with tiny_tuner(tiny_model_dir, tmp_path) as tuner:
        tuner.adapters.load("c", folders["c"])
        tuner.train()
        assert tuner.infer(PROMPTS[0], adapter="c").text == answers["c"][0]


def drop_a_key(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights.pop(next(iter(weights)))
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    _admit(folder)


def add_a_key(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = next(iter(weights.values())).clone()
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    _admit(folder)


def change_the_rank(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "r": 5}))


def change_the_template(folder: Path) -> None:
    passport = json.loads((folder / "lorasdk.json").read_text())
    passport["template"]["sha256"] = "0" * 64
    (folder / "lorasdk.json").write_text(json.dumps(passport))


def damage(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def _admit(folder: Path) -> None:
    """Let the passport name the changed file, as somebody would who rewrites both."""
    import hashlib

    passport = json.loads((folder / "lorasdk.json").read_text())
    passport["adapter_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / "lorasdk.json").write_text(json.dumps(passport))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (drop_a_key, "adapter.missing-weights"),
        (add_a_key, "adapter.unexpected-weights"),
        (change_the_rank, "adapter.base-mismatch"),
        (change_the_template, "adapter.template-changed"),
        (damage, "adapter.damaged-weights"),
        (lambda folder: (folder / "lorasdk.json").unlink(), "adapter.missing"),
    ],
)
def test_an_adapter_that_does_not_fit_is_an_error_and_never_a_warning(
    tuner, folders, tmp_path: Path, change: Callable[[Path], None], code: str
):
    shutil.copytree(folders["b"], tmp_path / "changed")
    change(tmp_path / "changed")
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.load("changed", tmp_path / "changed")
    assert caught.value.code == code
    assert [each.name for each in tuner.adapters.list()] == ["a", "b", "c"]


def test_an_adapter_of_another_base_of_the_same_shapes_is_refused(tuner, tmp_path: Path):
    other = write_tiny_model(tmp_path / "other", seed=1)
    adapter_dir = train(other, tmp_path / "out", "z", training={"max_steps": 1})
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.load("z", adapter_dir)
    assert caught.value.code == "adapter.base-mismatch"


@pytest.mark.parametrize(
    ("lora", "key"), [({"dora": True}, "use_dora"), ({"modules_to_save": ["lm_head"]}, "modules_to_save")]
)
def test_an_adapter_that_does_more_than_add_matrices_is_refused(tuner, tiny_model_dir, tmp_path, lora, key):
    adapter_dir = train(tiny_model_dir, tmp_path, "d", training={"max_steps": 1}, lora=lora)
    with pytest.raises(AdapterError) as caught:
        tuner.adapters.load("d", adapter_dir)
    assert caught.value.code == "adapter.not-mixable"
    assert key in str(caught.value)


@pytest.mark.parametrize("lora", [{"rslora": True, "rank": 8}, {"init": "pissa", "rank": 4}, {"init": "gaussian"}])
def test_variants_that_are_plain_matrices_answer_as_alone(tuner, tiny_model_dir, tmp_path, lora):
    adapter_dir = train(tiny_model_dir, tmp_path, "v", lora=lora)
    tuner.adapters.load("v", adapter_dir)
    with FineTuner.from_adapter(adapter_dir) as alone:
        assert tuner.infer(PROMPTS, adapter="v") == alone.infer(PROMPTS)


def test_no_training_while_a_scheduler_is_open(folders, tiny_model_dir: Path, tmp_path: Path):
    with tiny_tuner(tiny_model_dir, tmp_path) as tuner:
        scheduler = tuner.open_scheduler()
        with pytest.raises(TrainingError) as caught:
            tuner.train()
        assert caught.value.code == "tuner.busy"
        scheduler.close()
        assert tuner.train().steps == 2


def test_closing_a_tuner_closes_its_schedulers(tuner):
    scheduler = tuner.open_scheduler(max_rows=2, max_waiting=3)
    assert (scheduler.load.max_rows, scheduler.load.max_waiting) == (2, 3)
    tuner.close()
    assert not scheduler.open


def test_a_scheduler_of_nobody_is_refused(tuner):
    with pytest.raises(InferenceError) as caught:
        tuner.open_scheduler(max_rows=0, max_waiting=-1)
    assert [problem.field for problem in caught.value.problems] == ["max_rows", "max_waiting"]
