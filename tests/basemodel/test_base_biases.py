"""An adapter that trains biases leaves the base model's own where the base is asked."""

from __future__ import annotations

import pytest
import torch
from tiny_runs import run
from tiny_shapes import build

from lorasdk.basemodel.base_biases import base_biases
from lorasdk.inference.adapter_state import state_of

IDS = torch.arange(3, 40)[None]


@torch.inference_mode()
def logits(model) -> torch.Tensor:
    return model.get_base_model()(input_ids=IDS).logits


def untouched() -> torch.Tensor:
    model = build("qwen2").eval()
    with model.disable_adapter():
        return logits(model)


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_the_base_answers_as_it_did_before_its_biases_were_trained(bias: str):
    expected, model = untouched(), build("qwen2", bias=bias)
    run({"max_steps": 2, "learning_rate": 0.1}, model=model)
    tuned = logits(model)
    with state_of(model, adapter=False)():
        assert torch.equal(logits(model), expected)
    assert torch.equal(logits(model), tuned)
    with pytest.warns(UserWarning, match="does not produce the same output"), model.disable_adapter():
        assert not torch.equal(logits(model), expected)


def test_the_adapters_biases_come_back_also_after_an_exception():
    model = build("qwen2", bias="all")
    run({"max_steps": 1, "learning_rate": 0.1}, model=model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(KeyboardInterrupt), base_biases(model):
        raise KeyboardInterrupt
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_nothing_is_kept_where_no_bias_is_trained():
    assert not any("bias_of_base" in name for name, _ in build("qwen2").named_buffers())
