import torch
from transformers.cache_utils import DynamicLayer

from lorasdk.inference.growing_layer import GrowingLayer


def states(columns: int, seed: int, rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, columns, 4, generator=generator), torch.randn(rows, 2, columns, 4, generator=generator)


def test_it_holds_what_the_librarys_own_layer_holds():
    ours, theirs = GrowingLayer(), DynamicLayer()
    for number, columns in enumerate([5, *[1] * 20, 7, 1]):
        pairs = zip(ours.update(*states(columns, number)), theirs.update(*states(columns, number)), strict=True)
        assert all(torch.equal(mine, other) for mine, other in pairs)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert ours.get_mask_sizes(3) == theirs.get_mask_sizes(3)


def test_it_is_copied_when_its_room_is_full_and_not_for_every_token():
    layer, places = GrowingLayer(), set()
    layer.update(*states(100, 0))
    for number in range(40):
        layer.update(*states(1, number))
        places.add(layer.keys.data_ptr())
    assert len(places) == 1
    layer.update(*states(20, 1))
    assert layer.keys.data_ptr() not in places


def test_rows_that_stay_go_on_by_themselves():
    ours, theirs = GrowingLayer(), DynamicLayer()
    kept = torch.tensor([2, 0])
    for layer in (ours, theirs):
        layer.update(*states(6, 0))
        layer.reorder_cache(kept)
        layer.update(*states(1, 1, rows=2))
    assert torch.equal(ours.keys, theirs.keys)
    assert torch.equal(ours.values, theirs.values)


def test_what_is_put_in_is_not_written_into():
    layer, (keys, values) = GrowingLayer(), states(4, 0)
    before = keys.clone()
    layer.put(keys[:, :, 1:], values[:, :, 1:])
    layer.update(*states(1, 1))
    assert torch.equal(keys, before)
    assert layer.get_seq_length() == 4
