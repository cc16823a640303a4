"""States that never change are computed once, and the training cannot tell."""

from __future__ import annotations

import pytest
import torch
from tiny_shapes import SHAPES, build, some_rows

from lorasdk.forward import constant_states
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.constant_states import keep_constant_states, untrained_layers

ROWS = some_rows(24, shared=40, nested=40)


def kept_passes(model, *, max_tokens: int = 300):
    passes = choose_passes(model, max_tokens=max_tokens, max_rows=None).passes
    kept = keep_constant_states(passes, ROWS, between=lambda: None)
    assert kept is not None
    return passes, type(passes)(**{**vars(passes), "constant": kept})


def loss_and_gradients(model, passes, rows):
    with passes.ready():
        nats = passes.loss(rows)
        nats.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return nats.item(), found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", [[], ["lm_head"]])
def test_loss_and_gradients_are_the_same_without_the_constant_layers(shape: str, head: list[str]):
    model = build(shape, layers=[2], modules_to_save=head)
    plain, short = kept_passes(model)
    for rows in (ROWS[3:9], ROWS[::5]):
        (loss, gradients), (true_loss, true_gradients) = (loss_and_gradients(model, p, rows) for p in (short, plain))
        assert loss == pytest.approx(true_loss, rel=1e-5)
        for name, gradient in true_gradients.items():
            assert (gradients[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_constant_layers_are_not_computed_again():
    model = build("llama", layers=[1, 2])
    _, short = kept_passes(model)
    calls = []
    for number, layer in enumerate(model.get_base_model().get_decoder().layers):
        # A norm is called whether its layer is fused or not; a projection would not be.
        layer.input_layernorm.register_forward_hook(lambda *_, number=number: calls.append(number))
    with short.ready():
        short.loss(ROWS[:4])
    assert calls == [1, 2]
    assert not any("forward" in vars(module) for module in model.modules())


def test_the_layers_below_the_lowest_trained_one():
    assert len(untrained_layers(build("llama", layers=[2]))) == 2
    assert len(untrained_layers(build("llama", layers=[1, 2]))) == 1
    assert untrained_layers(build("llama")) == ()
    assert untrained_layers(build("qwen2", layers=[2], modules_to_save=["embed_tokens"])) == ()


def test_states_do_not_depend_on_the_order_in_which_steps_ask_for_them():
    model = build("llama", layers=[2])
    one, other = (kept_passes(model)[1].constant for _ in range(2))
    assert torch.equal(one.states, other.states)


def test_what_does_not_fit_into_memory_goes_to_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(constant_states, "MEMORY_SHARE", 0)
    monkeypatch.setattr(constant_states.tempfile, "gettempdir", lambda: str(tmp_path))
    model = build("llama", layers=[2])
    plain, short = kept_passes(model)
    assert list(tmp_path.iterdir()) == []
    assert loss_and_gradients(model, short, ROWS[:6])[0] == pytest.approx(
        loss_and_gradients(model, plain, ROWS[:6])[0], rel=1e-5
    )


def test_what_fits_nowhere_is_not_kept(monkeypatch):
    monkeypatch.setattr(constant_states, "MEMORY_SHARE", 0)
    monkeypatch.setattr(constant_states, "DISK_SHARE", 0)
    passes = choose_passes(build("llama", layers=[2]), max_tokens=300, max_rows=None).passes
    assert keep_constant_states(passes, ROWS, between=lambda: None) is None


def test_nothing_is_saved_for_the_backward_pass_below_the_lowest_adapted_layer():
    def saved(layers) -> int:
        model = build("llama", layers=layers)
        passes = choose_passes(model, max_tokens=10**4, max_rows=None).passes
        sizes = []
        with passes.ready(), torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()), lambda x: x):
            passes.loss(ROWS[:4])
        return sum(sizes)

    one, two, three = saved([2]), saved([1, 2]), saved([0, 1, 2])
    assert one < 0.6 * two
    assert two < 0.8 * three
