"""Quantised bases go through the same passes.

On a CPU bitsandbytes unpacks a four-bit weight and multiplies with it, as we do (its other kernel, for answers, has no
gradient, and is switched off when a base is loaded): so in float32 nothing differs but the order of sums, and the
tolerance is that of full-precision weights. In bfloat16 the roundings of two right ways differ as much as each differs
from float32, so both are measured against the same weights unpacked to float32.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from tiny_model import write_tiny_model
from tiny_shapes import some_rows
from tiny_training import load_tiny

from lorasdk.basemodel.quiet import quiet
from lorasdk.engine import pass_choice
from lorasdk.engine.loop import run_training
from lorasdk.engine.lora import attach_lora
from lorasdk.engine.task import TrainingTask
from lorasdk.forward.adapted_linear import projections_of
from lorasdk.forward.choosing import Choice, choose_passes
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
from lorasdk.recipe.schema import LoraSection, TrainingSection
from lorasdk.stopping import StopToken

ROWS = some_rows(16, shared=40, nested=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One four-bit block wide."""
    return write_tiny_model(tmp_path_factory.mktemp("wide"), hidden=64)


def adapted(base):
    section = LoraSection.model_validate({"rank": 4, "targets": "all-linear", "dropout": 0})
    model = attach_lora(base, section, seed=0, batches=[])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=generator)
    return model.train()


def loss_and_gradients(model, passes):
    total = 0.0
    with quiet():
        for part in passes.split(ROWS):
            with passes.ready():
                nats = passes.loss(part)
                nats.backward()
            total += nats.item()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return total, found


def differences(ours, true) -> list[float]:
    """Relative, of the loss and of each gradient."""
    assert ours[1].keys() == true[1].keys()
    gradients = [((ours[1][name] - g).norm() / g.norm()).item() for name, g in true[1].items()]
    return [abs(ours[0] / true[0] - 1), *gradients]


def packed(model) -> PackedPasses:
    choice = choose_passes(model, max_tokens=10_000, max_rows=None)
    assert isinstance(choice.passes, PackedPasses), choice.why_padded
    return choice.passes


def unpacked(base, folder: Path):
    """The four-bit base with its weights in float32."""
    wide = load_tiny(folder).model
    small = dict(base.named_modules())
    with torch.no_grad():
        for name, module in wide.named_modules():
            if isinstance(small[name], Linear4bit):
                weight = small[name].weight
                module.weight.copy_(dequantize_4bit(weight.data, weight.quant_state))
    return wide


@pytest.mark.parametrize("double", [False, True])
def test_nf4_packs_give_loss_and_gradients_of_padded_rows_through_pefts_layers(folder: Path, double: bool):
    model = adapted(load_tiny(folder, quantization="nf4", double_quantization=double).model)
    passes = packed(model)
    assert {"LlamaAttention", "LlamaMLP"} <= {type(part.module).__name__ for part in passes.fused}
    reference = loss_and_gradients(model, PaddedPasses(model, 10**6))
    assert max(differences(loss_and_gradients(model, passes), reference)) <= 1e-5


def test_bfloat16_nf4_packs_are_as_near_to_float32_as_pefts_layers(folder: Path):
    base = load_tiny(folder, quantization="nf4", dtype="bfloat16").model
    exact, model = adapted(unpacked(base, folder)), adapted(base)
    true = loss_and_gradients(exact, PaddedPasses(exact, 10**6))
    ours = differences(loss_and_gradients(model, packed(model)), true)
    pefts = differences(loss_and_gradients(model, PaddedPasses(model, 10**6)), true)
    assert sum(ours) <= 1.3 * sum(pefts)


def test_a_four_bit_layer_that_casts_around_its_product_is_left_to_bitsandbytes(folder: Path):
    layer = load_tiny(folder, quantization="nf4").model.get_decoder().layers[0].mlp.up_proj
    assert projections_of(layer) is not None
    layer.compute_dtype = torch.bfloat16
    assert projections_of(layer) is None


def trained(model, events):
    settings = TrainingSection.model_validate({"max_steps": 4, "batch_size": 8, "learning_rate": 1e-2})
    task = TrainingTask(
        model=model,
        section=settings,
        train=ROWS,
        validation=(),
        score=dict,
        higher_is_better=False,
        emit=events.append,
        stop=StopToken(),
    )
    with quiet():
        return [point.loss for point in run_training(task).history]


def test_training_on_nf4_takes_the_same_steps_packed_as_padded(folder: Path, monkeypatch):
    events = []
    ours = trained(adapted(load_tiny(folder, quantization="nf4").model), events)
    assert not any(getattr(event, "code", "") == "training.padded" for event in events)
    monkeypatch.setattr(pass_choice, "choose_passes", lambda model, **_limits: Choice(PaddedPasses(model, 10**6)))
    assert ours == pytest.approx(trained(adapted(load_tiny(folder, quantization="nf4").model), events), rel=1e-4)
    assert ours[-1] < ours[0]


def test_int8_layers_stay_pefts_and_rows_get_the_gradients_that_they_get_alone(folder: Path):
    """Its rounding in answers depends on all tokens of a batch, which the trial notices; in training it does not."""
    model = adapted(load_tiny(folder, quantization="int8").model)
    assert all(projections_of(m) is None for m in model.modules() if isinstance(m, Linear8bitLt))
    with quiet():
        passes = choose_passes(model, max_tokens=10_000, max_rows=None).passes
    alone = loss_and_gradients(model, PaddedPasses(model, 1))
    assert max(differences(loss_and_gradients(model, passes), alone)) <= 1e-5
