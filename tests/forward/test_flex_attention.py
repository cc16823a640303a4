"""FlexAttention has no backward pass for CPUs but an unfused one, which tests reach behind its check of the device."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import flex_attention as torchs

from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.forward import flex_attention as ours
from lorasdk.forward.attention_plan import AttentionPlan
from lorasdk.forward.flex_attention import HeadShape, flex_obstacle, flex_tree_attention, proof, tree_mask
from lorasdk.forward.tree_attention import tree_attention

CPU = torch.device("cpu")
FINE = HeadShape(torch.device("cuda", 0), torch.bfloat16, heads=8, key_heads=2, size=64)

unfused = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
# torch's compiler looks at the gradients of whatever it is given, and warns itself.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture
def on_a_cpu(monkeypatch):
    monkeypatch.setattr(torchs, "_validate_device", lambda *_qkv: None)
    monkeypatch.setattr(ours, "_kernel", lambda: torchs.flex_attention)


def rows_of(seed: int) -> list[TokenRow]:
    rng = random.Random(seed)
    stems = [[rng.randrange(3) for _ in range(rng.randrange(1, 25))] for _ in range(3)]
    beginnings = [[i for stem in stems[: rng.randrange(4)] for i in stem] for _ in range(9)]
    return [
        TokenRow(n, (*begin, *(rng.randrange(9) for _ in range(rng.randrange(1, 20)))), ())
        for n, begin in enumerate(beginnings)
    ]


@pytest.mark.parametrize("window", [None, 1, 3, 200])
@pytest.mark.parametrize("seed", range(4))
def test_a_query_sees_its_row_up_to_itself_and_no_further_back_than_the_window(seed: int, window: int | None):
    rows = rows_of(seed)
    tree = PrefixTree.of(rows, worth=4)
    wanted = torch.zeros(tree.tokens, tree.tokens, dtype=torch.bool)
    for number in range(len(rows)):
        path = tree.flat_indices(number)
        for at, query in enumerate(path):
            wanted[query, path[max(0, at + 1 - (window or len(path))) : at + 1]] = True
    at = torch.arange(tree.tokens)
    assert torch.equal(tree_mask(tree, CPU, window)(at, at, at[:, None], at), wanted)


@unfused
@pytest.mark.usefixtures("on_a_cpu")
@pytest.mark.parametrize(("scaling", "window"), [(0.25, None), (0.3, 17)])
def test_values_and_gradients_are_those_of_the_batched_products(scaling: float, window: int | None):
    plan = AttentionPlan.of(PrefixTree.of(rows_of(0), worth=4), CPU)
    torch.manual_seed(0)
    qkv = [torch.randn(plan.tree.tokens, n, 16, requires_grad=True) for n in (4, 2, 2)]
    flex, batched = (
        attend(*qkv, plan, scaling=scaling, window=window) for attend in (flex_tree_attention, tree_attention)
    )
    torch.testing.assert_close(flex, batched, rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(flex)
    for mine, true in zip(*(torch.autograd.grad(x, qkv, grad) for x in (flex, batched)), strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-4, atol=1e-5)


@unfused
@pytest.mark.usefixtures("on_a_cpu")
def test_layers_share_a_mask_per_window():
    plan = AttentionPlan.of(PrefixTree.of(rows_of(0), worth=4), CPU)
    q, k, v = (torch.randn(plan.tree.tokens, n, 16) for n in (4, 2, 2))
    masks = []
    for window in (None, 5, None, 5):
        flex_tree_attention(q, k, v, plan, scaling=0.25, window=window)
        masks.append(plan.block_masks[window])
    assert masks[0] is masks[2]
    assert masks[1] is masks[3]
    assert masks[0] is not masks[1]


@unfused
@pytest.mark.usefixtures("on_a_cpu")
def test_the_proof_passes_what_is_right_and_fails_what_is_wrong(monkeypatch):
    shape = replace(FINE, device=CPU, heads=4)
    assert proof(shape) < ours.TOLERANCE

    def leaky(plan, window):
        tokens = plan.tree.tokens
        return torchs.create_block_mask(lambda _b, _h, q, k: k <= q, None, None, tokens, tokens, CPU)

    monkeypatch.setattr(ours, "_new_block_mask", leaky)
    assert proof(shape) > ours.TOLERANCE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": CPU}, "CUDA"),
        ({"dtype": torch.float32}, "not in float32"),
        ({"size": 8}, "not of 8"),
        ({"size": 512}, "not of 512"),
    ],
)
def test_known_obstacles_are_named_and_nothing_is_compiled_for_them(change, reason: str, monkeypatch):
    monkeypatch.setattr(ours, "proof", lambda _shape: pytest.fail("compiled"))
    assert reason in flex_obstacle.__wrapped__(replace(FINE, **change))


def test_without_triton_it_is_not_used(monkeypatch):
    monkeypatch.setattr(ours, "find_spec", lambda _name: None)
    assert "Triton" in flex_obstacle.__wrapped__(FINE)


def test_a_compiler_that_fails_is_an_obstacle_with_its_own_words(monkeypatch):
    def failing(_shape):
        message = "no C compiler"
        raise RuntimeError(message)

    monkeypatch.setattr(ours, "find_spec", lambda _name: True)
    monkeypatch.setattr(ours, "proof", failing)
    assert flex_obstacle.__wrapped__(FINE).endswith("RuntimeError: no C compiler")


@pytest.mark.parametrize(("difference", "obstacle"), [(0.004, False), (0.3, True), (float("nan"), True)])
def test_a_kernel_is_used_only_if_its_results_are_right(difference: float, obstacle: bool, monkeypatch):
    monkeypatch.setattr(ours, "find_spec", lambda _name: True)
    monkeypatch.setattr(ours, "proof", lambda _shape: difference)
    assert bool(flex_obstacle.__wrapped__(FINE)) is obstacle


@pytest.mark.gpu
@pytest.mark.parametrize("size", [64, 80, 128, 256])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_is_compiled_and_right_on_cuda(size: int, dtype: torch.dtype):
    assert flex_obstacle(replace(FINE, size=size, dtype=dtype)) == ""


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 100])
def test_trees_of_all_lengths_go_through_it_on_cuda(window: int | None, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "lorasdk.forward.tree_attention.flex_tree_attention",
        lambda *a, **k: calls.append(1) or flex_tree_attention(*a, **k),
    )
    for length in (129, 300, 1000, 2048):
        rows = [TokenRow(i, (*range(100), *([i] * length)), ()) for i in (1, 2)]
        plan = AttentionPlan.of(PrefixTree.of(rows), FINE.device)
        q, k, v = (torch.randn(plan.tree.tokens, n, 64, device="cuda", dtype=torch.bfloat16) for n in (8, 2, 2))
        flex = tree_attention(q, k, v, plan, scaling=0.1, window=window).float()
        batched = tree_attention(q.float(), k.float(), v.float(), plan, scaling=0.1, window=window)
        assert (flex - batched).norm() < ours.TOLERANCE * batched.norm()
    assert len(calls) == 4
