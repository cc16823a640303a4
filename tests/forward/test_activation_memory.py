"""Memory is used again by the next pass, and never by two passes at once."""

from __future__ import annotations

import gc

import torch
from tiny_shapes import build, some_rows

from lorasdk.forward.activation_memory import BLOCK, ActivationMemory
from lorasdk.forward.choosing import choose_passes

LIKE = torch.zeros((), dtype=torch.float32)


def test_tensors_of_a_lease_do_not_overlap_and_do_not_count_as_written_by_each_other():
    memory = ActivationMemory()
    with memory.leased():
        lease = memory.lease
        assert lease is not None
        one, other = lease.empty((3, 5), LIKE), lease.empty((7,), LIKE.double())
    one.fill_(1)
    version = one._version
    other.fill_(2)
    assert one.eq(1).all()
    assert (one.dtype, one.shape, other.dtype, other.shape) == (torch.float32, (3, 5), torch.float64, (7,))
    assert one._version == version
    assert one.data_ptr() % 64 == other.data_ptr() % 64 == 0


def test_blocks_come_back_when_the_last_holder_of_a_lease_is_gone():
    memory = ActivationMemory()
    with memory.leased():
        lease = memory.lease
        assert lease is not None
        address = lease.empty((8,), LIKE).data_ptr()
    assert memory._free == []
    with memory.leased():
        assert memory.lease is not None
        other = memory.lease.empty((8,), LIKE).data_ptr()
        assert other != address
    del lease
    assert {block.data_ptr() for block in memory._free} == {address, other}
    with memory.leased():
        assert memory.lease is not None
        assert memory.lease.empty((8,), LIKE).data_ptr() in {address, other}


def test_a_tensor_larger_than_a_block_has_one_to_itself():
    memory = ActivationMemory()
    with memory.leased():
        assert memory.lease is not None
        assert memory.lease.empty((BLOCK // 4 + 1,), LIKE).untyped_storage().nbytes() == BLOCK + 4
        assert memory.lease.empty((1,), LIKE).untyped_storage().nbytes() == BLOCK


def test_two_graphs_at_once_keep_what_is_theirs():
    model = build("llama")
    passes = choose_passes(model, max_tokens=1000, max_rows=None).passes
    parts = [some_rows(6, shared=40, nested=0, seed=seed) for seed in (1, 2)]

    def gradients(losses):
        torch.autograd.backward(losses)
        found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        model.zero_grad()
        return found

    with passes.ready():
        apart = [gradients([passes.loss(part)]) for part in parts]
        together = gradients([passes.loss(part) for part in parts])
    for one, other, both in zip(*apart, together, strict=True):
        torch.testing.assert_close(one + other, both)


def test_passes_after_the_first_take_no_new_blocks():
    model = build("llama")
    passes = choose_passes(model, max_tokens=1000, max_rows=None).passes
    blocks = []
    for _ in range(3):
        with passes.ready():
            passes.loss(some_rows(6, shared=40, nested=0)).backward()
        gc.collect()
        blocks.append([block.data_ptr() for block in passes.memory._free])
    assert blocks[0]
    assert blocks[0] == blocks[1] == blocks[2]
