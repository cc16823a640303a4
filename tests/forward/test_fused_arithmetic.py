"""The arithmetic of the fast forwards: values and gradients against torch's own operations."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, gelu, linear, silu

from lorasdk.forward import linear_cross_entropy as head
from lorasdk.forward.gated_product import gated_product
from lorasdk.forward.linear_cross_entropy import linear_cross_entropy, linear_surprise
from lorasdk.forward.pass_randomness import PassRandomness
from lorasdk.forward.projections import Projection, Update, dropped_places, project
from lorasdk.forward.rms_norm import rms_norm
from lorasdk.forward.rotary import rotate


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def close(ours, true, wanted):
    """Both and their gradients agree."""
    torch.testing.assert_close(ours, true, rtol=1e-5, atol=1e-6)
    grad = torch.randn_like(true)
    pairs = zip(torch.autograd.grad(ours, wanted, grad), torch.autograd.grad(true, wanted, grad), strict=True)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_rms_norm():
    x, weight = torch.randn(3, 5, 16, requires_grad=True), torch.randn(16)
    close(rms_norm(x, weight, 1e-5), x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight, [x])


def test_rms_norm_of_half_precision_is_computed_in_float32():
    x, weight = torch.randn(4, 16).bfloat16(), torch.randn(16)
    assert torch.equal(rms_norm(x, weight, 1e-5), rms_norm(x.float(), weight, 1e-5).bfloat16())


def test_rotation():
    x, (cos, sin) = torch.randn(7, 3, 8, requires_grad=True), torch.randn(2, 7, 8)
    turned = torch.cat((-x[..., 4:], x[..., :4]), -1)
    close(rotate(x, cos, sin), x * cos[:, None] + turned * sin[:, None], [x])


@pytest.mark.parametrize(("name", "act"), [("silu", silu), ("gelu_tanh", lambda x: gelu(x, approximate="tanh"))])
def test_gated_product(name, act):
    gate, up = torch.randn(2, 6, 5, requires_grad=True).unbind()
    close(gated_product(gate, up, name), act(gate) * up, [gate, up])


def layer(inputs: int, outputs: int, *, rank: int | None, dropout: float = 0.0, bias: bool = False) -> Projection:
    weight = torch.randn(outputs, inputs)
    update = None
    if rank:
        a, b = (torch.nn.Parameter(torch.randn(shape)) for shape in ((rank, inputs), (outputs, rank)))
        update = Update(a, b, scaling=0.7, dropout=dropout)
    return Projection(lambda: weight, torch.randn(outputs) if bias else None, update)


def plain(x: torch.Tensor, layer: Projection, kept: torch.Tensor | float = 1.0) -> torch.Tensor:
    y = linear(x, layer.weight(), layer.bias)
    u = layer.update
    return y if u is None else y + u.scaling * linear(linear(x * kept, u.a), u.b)


@pytest.mark.parametrize("ranks", [(None,), (3,), (3, 2), (None, 2, 4), (None, None)])
def test_projections_of_one_input(ranks):
    x = torch.randn(9, 6, requires_grad=True)
    layers = [layer(6, 4 + i, rank=rank, bias=i == 1) for i, rank in enumerate(ranks)]
    wanted = [x, *(p for one in layers if one.update for p in (one.update.a, one.update.b))]
    ours = torch.cat(project(x, layers, drawing=PassRandomness().stream()), dim=1)
    close(ours, torch.cat([plain(x, one) for one in layers], dim=1), wanted)


def test_dropped_inputs_are_left_out_of_the_update_alone_and_the_rest_scaled_up(monkeypatch):
    places = torch.tensor([0, 7, 7, 20])
    monkeypatch.setattr("lorasdk.forward.projections.dropped_places", lambda *_args: places)
    kept = torch.ones(30).index_fill_(0, places, 0).view(5, 6) / 0.75
    x, one = torch.randn(5, 6, requires_grad=True), layer(6, 4, rank=3, dropout=0.25)
    assert one.update is not None
    (ours,) = project(x, [one], drawing=PassRandomness().stream())
    close(ours, plain(x, one, kept), [x, one.update.a, one.update.b])
    (evaluated,) = project(x, [one], drawing=None)
    torch.testing.assert_close(evaluated, plain(x, one))


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_each_place_is_dropped_with_chance_p(p: float):
    size, rounds = 400, 500
    counts, generator = torch.zeros(size), torch.Generator().manual_seed(0)
    for _ in range(rounds):
        counts += torch.zeros(size).index_fill_(0, dropped_places(size, p, generator), 1)
    deviation = math.sqrt(p * (1 - p))
    assert counts.mean().item() / rounds == pytest.approx(p, abs=5 * deviation / math.sqrt(size * rounds))
    spread = counts.var().item() / rounds
    assert spread == pytest.approx(deviation**2, rel=5 * math.sqrt(2 / size))


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_LOGITS", 4 * 33)
    monkeypatch.setattr(head, "SOFTMAX_LOGITS", 2 * 33)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("rows", [1, 4, 11])
def test_linear_cross_entropy(rows: int):
    hidden, weight = torch.randn(rows, 8, requires_grad=True), torch.randn(33, 8)
    labels, weights = torch.randint(33, (rows,)), torch.randint(1, 4, (rows,)).float()
    true = cross_entropy(hidden @ weight.T, labels, reduction="none") @ weights
    close(linear_cross_entropy(hidden, weight, labels, weights), true, [hidden])
    nats, likeliest = linear_surprise(hidden, weight, labels)
    torch.testing.assert_close(nats, cross_entropy(hidden @ weight.T, labels, reduction="none"))
    assert torch.equal(likeliest, (hidden @ weight.T).argmax(-1) == labels)


def test_a_label_too_unlikely_for_float32_still_has_its_exact_surprise():
    hidden, weight = torch.tensor([[300.0]], requires_grad=True), torch.tensor([[1.0], [0.0], [-1.0]])
    loss = linear_cross_entropy(hidden, weight, torch.tensor([2]), torch.ones(1))
    assert loss.item() == pytest.approx(600)
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert gradient.item() == pytest.approx(2)


def test_a_hidden_state_that_is_not_finite_makes_the_loss_not_finite():
    loss = linear_cross_entropy(torch.tensor([[math.nan]]), torch.ones(3, 1), torch.tensor([0]), torch.ones(1))
    assert math.isnan(loss.item())
