"""Memory for what a pass keeps until its backward pass: taken from the system once, and used again by every pass.

An allocator of a C library gives large blocks back to the kernel between passes, which then has to clear them again
page by page; and passes of different sizes leave it with holes. A pass keeps its blocks for exactly as long as its
graph, so they can be handed out in order and taken back all at once. Nothing of the process's allocator is changed.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

BLOCK = 2**26
"""Bytes of a block: enough for allocators to map it by itself, and give it back to the system when it is dropped."""
ALIGNMENT = 64


class Lease:
    """The memory of one pass. Whoever keeps a tensor of it for later must keep the lease as well."""

    def __init__(self, free: list[torch.UntypedStorage]) -> None:
        self._free = free
        self._blocks: list[torch.UntypedStorage] = []
        self._used = 0

    def empty(self, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """An uninitialised tensor of the dtype of `like`, on the host."""
        needed = math.prod(shape) * like.element_size()
        if not self._blocks or self._used + needed > self._blocks[-1].nbytes():
            self._blocks.append(self._block(needed))
            self._used = 0
        offset, self._used = self._used, -(-(self._used + needed) // ALIGNMENT) * ALIGNMENT
        # Not a view: tensors of one block must not count each other's writes as their own.
        tensor = torch.empty(0, dtype=like.dtype)
        tensor.set_(self._blocks[-1], offset // like.element_size(), tuple(shape))  # type: ignore[call-overload]
        return tensor

    def _block(self, needed: int) -> torch.UntypedStorage:
        fitting = next((i for i, block in enumerate(self._free) if block.nbytes() >= needed), None)
        return self._free.pop(fitting) if fitting is not None else torch.UntypedStorage(max(BLOCK, needed))

    def _blocks_back(self) -> tuple[list[torch.UntypedStorage], list[torch.UntypedStorage]]:
        return self._free, self._blocks


class ActivationMemory:
    """Blocks that passes lease one after another; as many as the largest pass needs."""

    def __init__(self) -> None:
        self._free: list[torch.UntypedStorage] = []
        self.lease: Lease | None = None
        """Of the pass that is being computed."""

    def forget(self) -> None:
        """Give the blocks that no pass leases back to the system."""
        self._free.clear()

    @contextmanager
    def leased(self) -> Iterator[None]:
        """While open, what a pass keeps comes from a lease; its blocks come back when its graph is gone."""
        lease = Lease(self._free)
        # Not when the program ends: a run in a thread goes on until it has saved, and computes in this memory.
        weakref.finalize(lease, _give_back, *lease._blocks_back()).atexit = False
        self.lease = lease
        try:
            yield
        finally:
            self.lease = None


def kept(lease: Lease | None, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """An uninitialised tensor from a lease, or from the allocator where there is none."""
    return like.new_empty(tuple(shape)) if lease is None else lease.empty(shape, like)


def _give_back(free: list[torch.UntypedStorage], blocks: list[torch.UntypedStorage]) -> None:
    free.extend(blocks)
    blocks.clear()
