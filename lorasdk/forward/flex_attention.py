"""Softmax attention over a prefix tree by torch's FlexAttention, which skips what no query of a block sees; for CUDA.

In the flat order all that continues a token is one range behind it, so the tree is one line: query q sees key k iff
k ≤ q < end(k), where end(k) is where the part of the tree that goes through k ends.

Before its first use with heads of a shape it is compiled, and proved against dense attention: values and gradients.
Where that fails, batched products do the work, and `flex_obstacle` says why; from then on an error is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from math import isclose

import torch
from torch._dynamo import mark_static
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.forward.attention_plan import AttentionPlan

BLOCK = 128
"""Tokens of a block of the mask. Smaller trees are little work, and would be compiled as a case of their own."""
HALF_PRECISION = {torch.bfloat16, torch.float16}
"""In float32 its products would leave the tensor cores unused."""
HEAD_SIZES = range(16, 257)
"""Its kernel refuses smaller heads, and has no settings for larger ones."""
TOLERANCE = 0.05
"""Relative difference that is half precision's rounding; a wrong mask is worse by far."""


@dataclass(frozen=True, slots=True)
class HeadShape:
    """What the kernel is compiled for."""

    device: torch.device
    dtype: torch.dtype
    heads: int
    key_heads: int
    """Heads of keys and values."""
    size: int
    """Numbers of a head."""

    @classmethod
    def of(cls, q: torch.Tensor, k: torch.Tensor) -> HeadShape:
        """The shape of (tokens, heads, head size) queries and keys."""
        return cls(q.device, q.dtype, q.shape[1], k.shape[1], q.shape[2])


@cache
def flex_obstacle(shape: HeadShape) -> str:
    """Why heads of this shape cannot go through FlexAttention; empty when they can, which was tried.

    The first call for a shape that nothing known speaks against compiles for it, forward and backward.
    """
    if shape.device.type != "cuda":
        return "FlexAttention trains on CUDA devices only"
    if shape.dtype not in HALF_PRECISION:
        return f"FlexAttention is used in half precision only, not in {str(shape.dtype).removeprefix('torch.')}"
    if shape.size not in HEAD_SIZES:
        return f"FlexAttention takes heads of {HEAD_SIZES[0]} to {HEAD_SIZES[-1]} numbers, not of {shape.size}"
    if find_spec("triton") is None:
        return "FlexAttention needs Triton, which is not installed"
    try:
        difference = proof(shape)
    except Exception as error:  # noqa: BLE001 - compilers raise anything; the reason is announced
        return f"FlexAttention cannot be compiled here: {type(error).__name__}: {error}"
    return "" if difference <= TOLERANCE else f"FlexAttention is wrong here, by {difference:.1e}"


def flex_tree_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    plan: AttentionPlan,
    *,
    scaling: float,
    window: int | None = None,
) -> torch.Tensor:
    """`tree_attention`, for trees of more than `BLOCK` tokens whose heads have no `flex_obstacle`."""
    # The kernel is compiled for all lengths, and with them all numbers it is given would vary: so it is given no scale.
    usual = q.shape[-1] ** -0.5
    inputs = [x.transpose(0, 1)[None] for x in (q if isclose(scaling, usual) else q * (scaling / usual), k, v)]
    for x in inputs:
        for heads_or_size in (1, 3):
            mark_static(x, heads_or_size)
    output: torch.Tensor = _kernel()(*inputs, block_mask=_block_mask(plan, window), enable_gqa=True)
    return output[0].transpose(0, 1)


@cache
def _kernel() -> Callable[..., torch.Tensor]:
    # Without the full graph, what cannot be compiled would hold all scores of all heads without a word.
    return torch.compile(flex_attention, dynamic=True, fullgraph=True)


def _block_mask(plan: AttentionPlan, window: int | None) -> BlockMask:
    """The mask of a plan; it is made once, at tokens² bytes for the moment, and all layers use the same."""
    known = plan.block_masks.get(window)
    return known if known is not None else plan.block_masks.setdefault(window, _new_block_mask(plan, window))


def _new_block_mask(plan: AttentionPlan, window: int | None) -> BlockMask:
    tokens, device = plan.tree.tokens, plan.gather.device
    return create_block_mask(tree_mask(plan.tree, device, window), None, None, tokens, tokens, device, BLOCK)


def tree_mask(
    tree: PrefixTree, device: torch.device, window: int | None
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """FlexAttention's (batch, head, query, key) → whether the query sees the key."""
    each = zip(tree.segments, _subtree_ends(tree), strict=True)
    ends = [below for segment, below in each for _ in segment.ids]
    positions = [segment.position + i for segment in tree.segments for i in range(len(segment.ids))]
    end, position = (torch.tensor(values, dtype=torch.int32, device=device) for values in (ends, positions))
    # A tensor also where nothing is hidden: one mask for all windows is one kernel to compile.
    forgotten = torch.full_like(position, -1) if window is None else position - window

    def sees(_batch: torch.Tensor, _head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return (key <= query) & (query < end[key]) & (position[key] > forgotten[query])

    return sees


def _subtree_ends(tree: PrefixTree) -> list[int]:
    """Per segment: where its own tokens and all that continues them end in the flat order."""
    ends = [segment.start + len(segment.ids) for segment in tree.segments]
    for number, segment in reversed(list(enumerate(tree.segments))):
        if segment.parent is not None:
            ends[segment.parent] = max(ends[segment.parent], ends[number])
    return ends


def proof(shape: HeadShape) -> float:
    """Largest relative difference to dense float32 attention, of values and of gradients, on a small tree."""
    tree = PrefixTree.of([TokenRow(i, (*range(150), *range(i, i + 70 * i)), ()) for i in range(1, 4)])
    plan = AttentionPlan.of(tree, shape.device)
    random = torch.Generator(shape.device).manual_seed(0)
    heads = (shape.heads, shape.key_heads, shape.key_heads, shape.heads)
    with torch.enable_grad():
        *qkv, grad = (
            torch.randn(tree.tokens, n, shape.size, device=shape.device, generator=random).to(shape.dtype)
            for n in heads
        )
        ours = _with_gradients(partial(flex_tree_attention, plan=plan, scaling=shape.size**-0.5), qkv, grad)
        wide = [x.float() for x in qkv]
        true = _with_gradients(partial(_dense, tree=tree, scaling=shape.size**-0.5), wide, grad.float())
    return max(float((one - other).norm() / other.norm()) for one, other in zip(ours, true, strict=True))


def _with_gradients(
    attend: Callable[..., torch.Tensor], inputs: list[torch.Tensor], grad: torch.Tensor
) -> list[torch.Tensor]:
    leaves = [x.detach().requires_grad_() for x in inputs]
    output = attend(*leaves)
    return [output.detach(), *torch.autograd.grad(output, leaves, grad)]


def _dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, tree: PrefixTree, scaling: float) -> torch.Tensor:
    at = torch.arange(tree.tokens, device=q.device)
    mask = tree_mask(tree, q.device, None)(at, at, at[:, None], at)
    groups = q.shape[1] // k.shape[1]
    keys, values = (x.repeat_interleave(groups, dim=1).transpose(0, 1) for x in (k, v))
    output = scaled_dot_product_attention(q.transpose(0, 1), keys, values, attn_mask=mask, scale=scaling)
    return output.transpose(0, 1)
