"""Which queries of a prefix tree meet which keys, as few batched matrix products.

Segments that continue the same chain are padded to one length and computed together: each attends to the whole chain
and, causally, to itself. Long segments are cut into chained pieces, so that little is computed above the diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from lorasdk.data.prefix_tree import PrefixTree

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

PIECE = 512
"""Tokens from which a segment is cut into chained pieces."""
WIDTH_STEP = 32
"""Keys of a group are padded to a multiple of this: vector units handle ragged ends slowly."""
GROUP_COST = 2**16
"""What a further group costs, in scores per head: padding that wastes fewer is cheaper."""


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    length: int
    chain: tuple[tuple[int, int], ...]
    """(start, end) flat ranges of everything before it in its rows."""

    def padded(self, length: int) -> list[int]:
        """Flat indices of its tokens, its first one repeated up to `length`."""
        return [*range(self.start, self.start + self.length), *[self.start] * (length - self.length)]


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Pieces of a tree with the same chain, padded to one length."""

    offset: int
    """First of its queries in the plan's gathered order."""
    pieces: int
    length: int
    """Padded length of the pieces."""
    chain: torch.Tensor
    """(chain,) int64: flat indices of the tokens before the pieces, position 0 first."""
    keys: torch.Tensor
    """(pieces · width,) int64: flat indices of each piece's keys: its chain, itself, padding."""
    masks: dict[tuple[int | None, torch.dtype], torch.Tensor] = field(default_factory=dict, repr=False)
    """Masks made so far; all layers use the same."""

    @property
    def width(self) -> int:
        """Keys of a piece, padding included."""
        return len(self.keys) // self.pieces

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """(length, width): 0 where a query sees a key, −∞ where it does not."""
        known = self.masks.get((window, dtype))
        return known if known is not None else self.masks.setdefault((window, dtype), self._mask(window, dtype))

    def _mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        at = torch.arange(self.width, device=self.chain.device)
        distance = at[: self.length, None] + len(self.chain) - at
        hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
        return torch.zeros(hidden.shape, dtype=dtype, device=at.device).masked_fill_(hidden, float("-inf"))

    @property
    def rows(self) -> int:
        """Gathered queries, padding included."""
        return self.pieces * self.length


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """How the attention of a prefix tree is computed."""

    groups: tuple[AttentionGroup, ...]
    gather: torch.Tensor
    """(gathered,) int64: flat index of each query of each group; padding repeats a token of its piece."""
    scatter: torch.Tensor
    """(tokens,) int64: where each flat token lies in the gathered order."""

    padding: torch.Tensor
    """(padding rows,) int64: gathered rows that stand for no token."""
    tree: PrefixTree
    """What is planned."""
    block_masks: dict[int | None, BlockMask] = field(default_factory=dict, repr=False)
    """FlexAttention's masks made so far, by window; all layers use the same."""

    def gathered(self, x: torch.Tensor, *, zero_padding: bool = False) -> torch.Tensor:
        """(gathered, ·) of flat (tokens, ·); padding rows repeat a token, or are 0."""
        rows = x.index_select(0, self.gather)
        return rows.index_fill_(0, self.padding, 0) if zero_padding and len(self.padding) else rows

    def scattered(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, ·) of gathered (gathered, ·), without the padding."""
        return x.index_select(0, self.scatter)

    @classmethod
    def of(cls, tree: PrefixTree, device: torch.device) -> AttentionPlan:
        """Plan the attention of `tree`."""
        groups: list[AttentionGroup] = []
        gather: list[int] = []
        scatter = [0] * tree.tokens
        for pieces in _groups(_pieces(tree)):
            groups.append(_group(pieces, offset=len(gather), device=device))
            for piece in pieces:
                scatter[piece.start : piece.start + piece.length] = range(len(gather), len(gather) + piece.length)
                gather += piece.padded(pieces[0].length)
        padding = sorted(set(range(len(gather))) - set(scatter))
        order, places, blanks = (_indices(x, device) for x in (gather, scatter, padding))
        return cls(tuple(groups), order, places, blanks, tree)


def _group(pieces: Sequence[_Piece], *, offset: int, device: torch.device) -> AttentionGroup:
    chain = [i for start, end in pieces[0].chain for i in range(start, end)]
    length = pieces[0].length
    width = -(-(len(chain) + length) // WIDTH_STEP) * WIDTH_STEP
    keys = [i for piece in pieces for i in (*chain, *piece.padded(width - len(chain)))]
    return AttentionGroup(offset, len(pieces), length, _indices(chain, device), _indices(keys, device))


def _indices(values: Sequence[int], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long, device=device)


def _pieces(tree: PrefixTree) -> list[_Piece]:
    chains: list[tuple[tuple[int, int], ...]] = []
    pieces = []
    for segment in tree.segments:
        chain = () if segment.parent is None else chains[segment.parent]
        end = segment.start + len(segment.ids)
        for start in range(segment.start, end, PIECE):
            before = chain if start == segment.start else (*chain, (segment.start, start))
            pieces.append(_Piece(start, min(PIECE, end - start), before))
        chains.append((*chain, (segment.start, end)))
    return pieces


def _groups(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Pieces by chain, and by length as far as padding is cheaper than another group."""
    by_chain: dict[tuple[tuple[int, int], ...], list[_Piece]] = {}
    for piece in pieces:
        by_chain.setdefault(piece.chain, []).append(piece)
    groups: list[list[_Piece]] = []
    for chain, members in by_chain.items():
        before = sum(end - start for start, end in chain)
        waste = 0
        for piece in sorted(members, key=lambda piece: -piece.length):
            longest = groups[-1][0].length if groups and groups[-1][0].chain == chain else None
            if longest is not None:
                waste += longest * (before + longest) - piece.length * (before + piece.length)
            if longest is None or waste > GROUP_COST:
                groups.append([piece])
                waste = 0
            else:
                groups[-1].append(piece)
    return groups
