"""Softmax attention over a prefix tree: softmax(s·Q·Kᵀ)·V, where a token sees its chain and its own past.

Batched matrix products per group of the plan, keys shared by grouped-query heads and by all pieces that continue the
same chain: torch's fused CPU kernel is made for few long sequences, packs are many short ones.
"""

from __future__ import annotations

from typing import Any

import torch

from lorasdk.forward.activation_memory import Lease, kept
from lorasdk.forward.attention_plan import AttentionGroup, AttentionPlan
from lorasdk.forward.flex_attention import BLOCK, HeadShape, flex_obstacle, flex_tree_attention

KEPT_KEYS = 1024
"""Keys up to which probabilities are kept for the backward pass; beyond, they are computed again."""


def tree_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    plan: AttentionPlan,
    *,
    scaling: float,
    window: int | None = None,
    lease: Lease | None = None,
) -> torch.Tensor:
    """Attend within a prefix tree.

    Args:
        q: (tokens, heads, head size), rotated.
        k: (tokens, key heads, head size), rotated; heads is a multiple of key heads.
        v: (tokens, key heads, head size).
        plan: of the tree that the tokens are in.
        scaling: what scores are multiplied by.
        window: keys that a query may see, itself included; all of them when None.
        lease: where what is kept for the backward pass goes.

    Returns:
        (tokens, heads, head size).
    """
    if q.is_cuda and len(q) > BLOCK and not flex_obstacle(HeadShape.of(q, k)):
        return flex_tree_attention(q, k, v, plan, scaling=scaling, window=window)
    output: torch.Tensor = _TreeAttention.apply(q, k, v, plan, scaling, window, lease)
    return output


class _TreeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        plan: AttentionPlan,
        scaling: float,
        window: int | None,
        lease: Lease | None,
    ) -> torch.Tensor:
        gathered = plan.gathered(q)
        output = torch.empty_like(gathered)
        saved: list[torch.Tensor] = []
        for group in plan.groups:
            queries = _queries(gathered, group, k.shape[1], lease).mul_(scaling)
            keys, values = _keys(k, group, lease), _keys(v, group, lease)
            keeps = group.width <= KEPT_KEYS
            probabilities = _probabilities(queries, keys, group, window, lease if keeps else None)
            _write_queries(output, group, torch.bmm(probabilities, values))
            saved += [queries, keys, values, probabilities if keeps else probabilities.new_empty(0)]
        ctx.save_for_backward(*saved)
        ctx.plan, ctx.scaling, ctx.window, ctx.key_heads, ctx.lease = plan, scaling, window, k.shape[1], lease
        return plan.scattered(output)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        plan: AttentionPlan = ctx.plan
        # Read once: with gradient checkpointing, reading is what computes them again.
        saved = ctx.saved_tensors
        grad = plan.gathered(grad, zero_padding=True)
        dq = torch.empty_like(grad)
        dkv = grad.new_empty(2, grad.shape[0], ctx.key_heads, grad.shape[-1])
        chains: list[tuple[AttentionGroup, torch.Tensor]] = []
        for number, group in enumerate(plan.groups):
            queries, keys, values, known = saved[4 * number : 4 * number + 4]
            probabilities = known if known.numel() else _probabilities(queries, keys, group, ctx.window)
            dout = _queries(grad, group, ctx.key_heads)
            dp = torch.bmm(dout, values.transpose(1, 2))
            ds = torch.ops.aten._softmax_backward_data(dp, probabilities, -1, dp.dtype)
            _write_queries(dq, group, torch.bmm(ds, keys).mul_(ctx.scaling))
            for which, (left, right) in enumerate(((ds, queries), (probabilities, dout))):
                chain = _write_keys(dkv[which], group, torch.bmm(left.transpose(1, 2), right))
                chains.append((group, chain))
        dk, dv = plan.scattered(dkv[0]), plan.scattered(dkv[1])
        for number, (group, chain) in enumerate(chains):
            (dv if number % 2 else dk).index_add_(0, group.chain, chain)
        return plan.scattered(dq), dk, dv, None, None, None, None


def _probabilities(
    queries: torch.Tensor,
    keys: torch.Tensor,
    group: AttentionGroup,
    window: int | None,
    lease: Lease | None = None,
) -> torch.Tensor:
    """(key heads · pieces, length · heads per key head, width): softmax of the masked scores."""
    mask = group.mask(window, queries.dtype).repeat_interleave(queries.shape[1] // group.length, dim=0)
    scores = torch.baddbmm(mask, queries, keys.transpose(1, 2))
    return torch.softmax(scores, -1, out=kept(lease, scores.shape, scores))


def _queries(gathered: torch.Tensor, group: AttentionGroup, key_heads: int, lease: Lease | None = None) -> torch.Tensor:
    """(key heads · pieces, length · heads per key head, head size) of (gathered, heads, head size), a copy.

    Query heads become further queries of the key head that they share.
    """
    part = gathered[group.offset : group.offset + group.rows]
    split = part.unflatten(1, (key_heads, -1)).unflatten(0, (group.pieces, group.length)).permute(2, 0, 1, 3, 4)
    queries: torch.Tensor = kept(lease, split.shape, split).copy_(split).flatten(2, 3).flatten(0, 1)
    return queries


def _write_queries(gathered: torch.Tensor, group: AttentionGroup, x: torch.Tensor) -> None:
    """Put what `_queries` took out back in place."""
    part = gathered[group.offset : group.offset + group.rows].unflatten(0, (group.pieces, group.length))
    split = x.unflatten(1, (group.length, -1)).unflatten(0, (-1, group.pieces)).permute(1, 2, 0, 3, 4)
    part.unflatten(2, (split.shape[2], -1)).copy_(split)


def _keys(flat: torch.Tensor, group: AttentionGroup, lease: Lease | None) -> torch.Tensor:
    """(key heads · pieces, width, head size) of (tokens, key heads, head size), a copy."""
    taken = flat.index_select(0, group.keys).unflatten(0, (group.pieces, group.width)).permute(2, 0, 1, 3)
    keys: torch.Tensor = kept(lease, taken.shape, taken).copy_(taken).flatten(0, 1)
    return keys


def _write_keys(gathered: torch.Tensor, group: AttentionGroup, x: torch.Tensor) -> torch.Tensor:
    """Put the pieces' part of key gradients in place; give the chain's part, (chain, key heads, head size)."""
    split = x.unflatten(0, (-1, group.pieces)).permute(1, 2, 0, 3)
    chain = len(group.chain)
    part = gathered[group.offset : group.offset + group.rows].unflatten(0, (group.pieces, group.length))
    part.copy_(split[:, chain : chain + group.length])
    chain_part: torch.Tensor = split[:, :chain].sum(dim=0)
    return chain_part
