from itertools import product

import torch

from lorasdk.forward.pass_randomness import PassRandomness, dropped_out, mixed

CPU = torch.device("cpu")
ONES = torch.ones(1000)


def test_neighbouring_numbers_give_seeds_that_differ_also_in_their_lower_half():
    seeds = [mixed(*numbers) % 2**32 for numbers in product(range(10), repeat=3)]
    assert len(set(seeds)) == len(seeds)
    assert max(mixed(*numbers) for numbers in product(range(10), repeat=3)) < 2**63


def test_a_stream_draws_the_same_whenever_a_pass_of_the_same_key_asks():
    randomness = PassRandomness()
    stream = randomness.stream()
    with randomness.keyed(1, CPU):
        first, again = (dropped_out(ONES, 0.5, stream) for _ in range(2))
    with randomness.keyed(2, CPU):
        other = dropped_out(ONES, 0.5, stream)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_streams_of_one_pass_are_different_and_those_of_two_models_are_alike():
    def draw() -> list[torch.Tensor]:
        randomness = PassRandomness()
        return [dropped_out(ONES, 0.5, randomness.stream()) for _ in range(2)]

    here, there = draw(), draw()
    assert not torch.equal(*here)
    assert all(map(torch.equal, here, there))


def test_what_stays_is_scaled_up():
    dropped = dropped_out(ONES, 0.75, PassRandomness().stream())
    assert set(dropped.tolist()) == {0.0, 4.0}
    assert 150 < (dropped > 0).sum() < 350


def test_the_global_generators_are_lent_only_where_the_model_needs_them():
    randomness = PassRandomness()
    before = torch.get_rng_state()
    with randomness.keyed(1, CPU):
        assert torch.equal(torch.get_rng_state(), before)
    randomness.borrows_global = True
    with randomness.keyed(1, CPU):
        drawn = torch.rand(3)
    with randomness.keyed(1, CPU):
        assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(torch.get_rng_state(), before)
