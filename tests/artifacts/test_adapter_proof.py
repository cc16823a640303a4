"""A saved adapter is read back and compared before its folder appears, and nothing else is changed by it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model
from tiny_training import tiny_tuner

from lorasdk import AdapterError, FineTuner, Notice, StopToken
from lorasdk.artifacts.golden import FIXED_PROMPTS, MOST_ROWS
from lorasdk.artifacts.golden_record import read_record
from lorasdk.artifacts.passport import read_passport
from lorasdk.artifacts.proof import not_proved
from lorasdk.workbench import adapter_saving

SECRET = "the launch codes are 1234"
ROWS = [{"instruction": f"say {i}", "output": "yes" if i % 2 else SECRET} for i in range(10)]


def proved(model: Path, output: Path, **sections):
    tuner = tiny_tuner(model, output, rows={"train": ROWS, "test": ROWS}, evaluation={"max_overlap": None}, **sections)
    result = tuner.train(evaluate=False)
    verification = read_passport(result.adapter_dir).verification
    assert verification is not None
    return tuner, result, verification


@pytest.mark.parametrize(
    "lora",
    [
        {"targets": "all-linear"},
        {"dora": True},
        {"modules_to_save": ["lm_head", "embed_tokens"]},
        {"init": "pissa"},
        {"bias": "all"},
    ],
    ids=lambda lora: next(iter(lora)) + str(next(iter(lora.values()))),
)
def test_a_training_ends_with_an_adapter_that_was_read_back(tiny_model_dir: Path, tmp_path: Path, lora):
    _, _, verification = proved(tiny_model_dir, tmp_path, lora=lora)
    assert (verification.verdict, verification.prompts, verification.rows) == ("same", len(FIXED_PROMPTS), MOST_ROWS)
    expected = 1e-5 if lora.get("init") == "pissa" else 0.0
    assert verification.largest_difference <= expected
    assert verification.dtype == "float32"
    assert verification.positions > MOST_ROWS + len(FIXED_PROMPTS)


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_an_adapter_of_a_quantised_base_is_read_back_to_the_bit(tmp_path: Path, quantization: str):
    (tmp_path / "wide").mkdir()
    wide = write_tiny_model(tmp_path / "wide", hidden=64)
    _, _, verification = proved(wide, tmp_path, base_model={"quantization": quantization})
    assert (verification.verdict, verification.largest_difference) == ("same", 0.0)


def test_reading_back_changes_neither_the_adapters_bits_nor_the_model_that_answers(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch
):
    tuner, result, _ = proved(tiny_model_dir, tmp_path / "a")
    monkeypatch.setattr(adapter_saving, "prove_saved", lambda *_given: not_proved("not this time"))
    other, plain, _ = proved(tiny_model_dir, tmp_path / "b")
    files = [r.adapter_dir / "adapter_model.safetensors" for r in (result, plain)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert tuner.infer("say 3") == other.infer("say 3")
    models = [t._state._bench.model for t in (tuner, other)]
    states = [{name: (p.requires_grad, p.dtype) for name, p in model.named_parameters()} for model in models]
    assert states[0] == states[1]
    assert [list(model.peft_config) for model in models] == [["default"], ["default"]]


def test_what_a_test_row_says_does_not_leave_with_the_adapter(tiny_model_dir: Path, tmp_path: Path):
    _, result, _ = proved(tiny_model_dir, tmp_path)
    record = read_record(result.adapter_dir)
    assert [row.row for row in record.rows] == [1, 2, 3]
    assert "ids" not in json.loads((result.adapter_dir / "golden.json").read_text())["rows"][0]
    for path in result.adapter_dir.iterdir():
        assert SECRET.encode() not in path.read_bytes()


def test_a_stopped_training_says_that_its_adapter_was_not_compared(tiny_model_dir: Path, tmp_path: Path):
    tuner, stop = tiny_tuner(tiny_model_dir, tmp_path), StopToken()
    stop.stop()
    result = tuner.train(stop=stop)
    verification = read_passport(result.adapter_dir).verification
    assert (verification.verdict, verification.reason) == ("not-verified", "the run was stopped")
    assert tuner.infer("say 3")


def test_an_adapter_that_answers_otherwise_is_kept_and_labelled(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    written = adapter_saving.prove_saved

    def damage_first(bench, model, folder, test_rows):
        weights = load_file(folder / "adapter_model.safetensors")
        save_file({name: w + 0.5 for name, w in weights.items()}, folder / "adapter_model.safetensors")
        return written(bench, model, folder, test_rows)

    monkeypatch.setattr(adapter_saving, "prove_saved", damage_first)
    events = []
    result = tiny_tuner(tiny_model_dir, tmp_path).train(on_event=events.append)
    assert "adapter.differs" in [event.code for event in events if isinstance(event, Notice)]
    verification = read_passport(result.adapter_dir).verification
    assert verification.verdict == "differs"
    assert verification.largest_difference > verification.tolerance
    assert "does not answer like the model" in (result.adapter_dir / "README.md").read_text()


def test_what_goes_wrong_while_comparing_costs_no_adapter(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    def no_memory(*_given):
        raise torch.OutOfMemoryError("no room for a second base")

    monkeypatch.setattr(adapter_saving, "prove_saved", no_memory)
    events = []
    result = tiny_tuner(tiny_model_dir, tmp_path).train(on_event=events.append)
    assert "adapter.not-verified" in [event.code for event in events if isinstance(event, Notice)]
    assert read_passport(result.adapter_dir).verification.reason == "no room for a second base"


def test_a_passport_of_an_earlier_release_still_opens(tiny_model_dir: Path, tmp_path: Path):
    result = tiny_tuner(tiny_model_dir, tmp_path).train()
    path = result.adapter_dir / "lorasdk.json"
    passport = json.loads(path.read_text())
    for added in ("kind", "files", "verification"):
        del passport[added]
    path.write_text(json.dumps(passport))
    assert read_passport(result.adapter_dir).verification is None
    with FineTuner.from_adapter(result.adapter_dir) as later:
        assert later.infer("say 3")


def test_an_exports_passport_is_no_adapters(tmp_path: Path):
    (tmp_path / "lorasdk.json").write_text('{"kind": "merged"}')
    with pytest.raises(AdapterError) as caught:
        read_passport(tmp_path)
    assert caught.value.code == "adapter.is-an-export"
