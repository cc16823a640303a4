"""Finds beginnings that prompts have in common and that are worth a pass of their own.

It sees token ids only. Sorted by their ids, prompts with a common beginning stand side by side, and the lengths that
neighbours have in common make a tree of nested beginnings; each prompt is given at most one of those on its path, such
that the most tokens are saved in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PASS_COST = 200
"""Tokens that must be saved for one more pass to be worth it.

Measured with 135M parameters in bfloat16 on 2 CPU cores: a pass takes as long as 180 to 230 more tokens in another.
"""

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Prompts that begin alike."""

    shared: int
    """How many first tokens are read once for all of them; 0 for prompts that have nothing worth it in common."""
    members: tuple[int, ...]
    """Indices of the prompts, by length."""


def find_families(prompts: Sequence[Ids]) -> list[Family]:
    """Put every prompt into one family; the last token of a prompt is always its own.

    Families come in the order of what their members have left to read, so that neighbours fit into one batch.
    """
    order = sorted(range(len(prompts)), key=lambda i: prompts[i])
    cuts = _best_plan([prompts[i] for i in order]).cuts
    families = [Family(cut.depth, _by_length(order[cut.start : cut.stop], prompts)) for cut in cuts]
    loners = set(order).difference(*(family.members for family in families))
    if loners:
        families.append(Family(0, _by_length(loners, prompts)))
    return sorted(families, key=lambda family: len(prompts[family.members[-1]]) - family.shared)


def _by_length(members: Iterable[int], prompts: Sequence[Ids]) -> tuple[int, ...]:
    return tuple(sorted(members, key=lambda i: (len(prompts[i]), i)))


@dataclass(frozen=True, slots=True)
class _Cut:
    """Sorted prompts `start` to `stop` read their first `depth` tokens once."""

    start: int
    stop: int
    depth: int


@dataclass(slots=True)
class _Plan:
    """The best cuts among some neighbours."""

    saved: int = 0
    cuts: list[_Cut] = field(default_factory=list)

    def join(self, other: _Plan) -> None:
        self.saved += other.saved
        self.cuts += other.cuts


@dataclass(slots=True)
class _Branch:
    """Neighbours from `start` on that have `depth` tokens in common, while it is not known where they end."""

    depth: int
    start: int
    within: _Plan

    def closed(self, stop: int) -> _Plan:
        """The better of one cut for all and the cuts within."""
        saved = (stop - self.start - 1) * self.depth - PASS_COST
        return _Plan(saved, [_Cut(self.start, stop, self.depth)]) if saved > self.within.saved else self.within


def _best_plan(prompts: Sequence[Ids]) -> _Plan:
    """The cuts of sorted prompts that save most: one walk over neighbours, with the open branches on a stack."""
    stack = [_Branch(0, 0, _Plan())]
    for i, prompt in enumerate(prompts):
        depth = _common(prompt, prompts[i + 1]) if i + 1 < len(prompts) else 0
        start, plan = i, _Plan()
        while stack[-1].depth > depth:
            branch = stack.pop()
            branch.within.join(plan)
            start, plan = branch.start, branch.closed(i + 1)
        if stack[-1].depth == depth:
            stack[-1].within.join(plan)
        else:
            stack.append(_Branch(depth, start, plan))
    return stack[0].within


def _common(a: Ids, b: Ids) -> int:
    """How many first tokens two prompts have in common, the last token of either left out."""
    limit = min(len(a), len(b)) - 1
    return next((i for i in range(limit) if a[i] != b[i]), limit)
