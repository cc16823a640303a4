from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.forward import attention_plan
from lorasdk.forward.attention_plan import AttentionPlan
from lorasdk.forward.tree_attention import tree_attention

CPU = torch.device("cpu")


def sight(tree: PrefixTree, window: int | None) -> torch.Tensor:
    """(tokens, tokens) bool, token by token: the segments on the path down to its own, and its own past."""
    seen = torch.zeros(tree.tokens, tree.tokens, dtype=torch.bool)
    for segment in tree.segments:
        above, parent = [], segment.parent
        while parent is not None:
            above += range(tree.segments[parent].start, tree.segments[parent].start + len(tree.segments[parent].ids))
            parent = tree.segments[parent].parent
        positions = {i: p for p, i in enumerate(sorted(above))}
        for at in range(len(segment.ids)):
            own = {segment.start + i: segment.position + i for i in range(at + 1)}
            for key, position in {**positions, **own}.items():
                seen[segment.start + at, key] = window is None or segment.position + at - position < window
    return seen


def tree_of(seed: int, rows: int) -> PrefixTree:
    rng = random.Random(seed)
    stems = [[rng.randrange(3) for _ in range(rng.randrange(1, 25))] for _ in range(3)]
    found = []
    for number in range(rows):
        ids = [i for stem in stems[: rng.randrange(4)] for i in stem] + [
            rng.randrange(9) for _ in range(rng.randrange(1, 20))
        ]
        found.append(TokenRow(number, tuple(ids), ()))
    return PrefixTree.of(found, worth=4)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 12),
    window=st.sampled_from([None, 1, 3, 17, 200]),
    piece=st.sampled_from([4, 16, 512]),
    heads=st.sampled_from([(1, 1), (4, 2), (6, 1)]),
)
def test_values_and_gradients_are_those_of_a_masked_dense_attention(seed, rows, window, piece, heads):
    tree = tree_of(seed, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_plan, "PIECE", piece)
        plan = AttentionPlan.of(tree, CPU)
    torch.manual_seed(seed)
    q, k, v = (torch.randn(tree.tokens, n, 8, requires_grad=True) for n in (heads[0], heads[1], heads[1]))
    grad = torch.randn(tree.tokens, heads[0], 8)
    ours = tree_attention(q, k, v, plan, scaling=0.3, window=window)
    dense = scaled_dot_product_attention(
        q.transpose(0, 1),
        *(x.transpose(0, 1).repeat_interleave(heads[0] // heads[1], 0) for x in (k, v)),
        attn_mask=sight(tree, window),
        scale=0.3,
    ).transpose(0, 1)
    torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-5)
    for mine, true in zip(
        torch.autograd.grad(ours, (q, k, v), grad), torch.autograd.grad(dense, (q, k, v), grad), strict=True
    ):
        torch.testing.assert_close(mine, true, rtol=1e-4, atol=1e-5)


def test_pieces_of_like_length_are_computed_together_and_unlike_ones_apart():
    rows = [TokenRow(i, tuple(range(1000 * i, 1000 * i + length)), ()) for i, length in enumerate((20, 21, 22, 400), 1)]
    groups = AttentionPlan.of(PrefixTree.of(rows), CPU).groups
    assert [(group.pieces, group.length) for group in groups] == [(1, 400), (3, 22)]
