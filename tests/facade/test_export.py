from pathlib import Path

import pytest
import torch
from tiny_model import write_tiny_model
from tiny_training import ROWS, tiny_tuner

from lorasdk import AdapterError, FineTuner, Notice
from lorasdk.artifacts import merged_model
from lorasdk.basemodel.quiet import quiet


def log_probabilities(model, ids):
    return model(input_ids=ids).logits.float().log_softmax(-1)


def load(folder: Path):
    from transformers import AutoModelForCausalLM

    with quiet():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def test_the_merged_model_answers_like_base_and_adapter(tiny_model_dir: Path, tmp_path: Path):
    tuner = tiny_tuner(tiny_model_dir, tmp_path, lora={"targets": ["q_proj", "v_proj"]})
    tuner.train()
    folder = tuner.export(tmp_path / "merged")
    ids = torch.tensor([[1, 5, 9, 20, 2]])
    ours = log_probabilities(tuner._state._bench.model, ids)
    torch.testing.assert_close(log_probabilities(load(folder), ids), ours, rtol=0, atol=1e-3)
    assert {"tokenizer.json", "config.json", "chat_template.jinja"} <= {path.name for path in folder.iterdir()}


def test_M57_a_4_bit_training_is_merged_into_the_full_precision_base(tmp_path: Path):
    (tmp_path / "wide").mkdir()
    wide = write_tiny_model(tmp_path / "wide", hidden=64)
    tuner = tiny_tuner(wide, tmp_path, base_model={"quantization": "nf4"})
    result, events = tuner.train(), []
    folder = tuner.export(tmp_path / "merged", on_event=events.append)
    codes = [event.code for event in events if isinstance(event, Notice)]
    assert codes == ["export.dequantised", "export.verified"]
    ids = torch.tensor([[1, 5, 9, 20, 2]])
    merged = log_probabilities(load(folder), ids)
    with FineTuner.from_adapter(
        result.adapter_dir, data={"train": ROWS}, overrides={"base_model.quantization": "none"}
    ) as full:
        full.infer("hi")
        torch.testing.assert_close(
            merged, log_probabilities(full._state._bench.model, ids), rtol=0, atol=merged_model.TOLERANCE
        )
    quantised = log_probabilities(tuner._state._bench.model, ids)
    assert (merged - quantised).abs().max() > merged_model.TOLERANCE


def test_a_folder_with_content_is_not_touched(tiny_model_dir: Path, tmp_path: Path):
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine.txt").write_text("mine")
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    tuner.train()
    with pytest.raises(AdapterError) as caught:
        tuner.export(tmp_path / "merged")
    assert caught.value.code == "export.not-empty"


def test_a_merged_model_that_differs_is_refused_and_leaves_nothing(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(merged_model, "TOLERANCE", -1.0)
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    tuner.train()
    with pytest.raises(AdapterError) as caught:
        tuner.export(tmp_path / "merged")
    assert caught.value.code == "export.differs"
    assert not list(tmp_path.glob("*merged*"))
