import threading

import pytest
import torch

from lorasdk.basemodel.scoped_random import global_states, scoped_random

CPU = torch.device("cpu")


def test_states_are_put_back_also_after_an_exception():
    before = global_states(CPU)
    with pytest.raises(RuntimeError), scoped_random(CPU, seed=1):
        torch.rand(3) @ torch.rand(4)
    assert all(map(torch.equal, before, global_states(CPU)))


def test_a_seed_decides_what_is_drawn():
    drawn = []
    for _ in range(2):
        with scoped_random(CPU, seed=7):
            drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_two_threads_never_draw_in_turns():
    second = threading.Event()

    def draw():
        with scoped_random(CPU, seed=1):
            second.set()

    with scoped_random(CPU, seed=2):
        thread = threading.Thread(target=draw)
        thread.start()
        assert not second.wait(0.05)
    thread.join()
    assert second.is_set()
