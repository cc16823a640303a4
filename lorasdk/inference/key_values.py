"""Keys and values of beginnings that several prompts share: computed once, put before each prompt's own tokens.

A batch that is put together this way looks to the model exactly as if every row had been read whole: padding is on the
left only, and each column of the cache is the column that it would have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from lorasdk.asking import Voice
from lorasdk.inference.growing_layer import GrowingLayer
from lorasdk.inference.reading import Reader


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a model remembers of some first tokens."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """Keys and values by layer, each (heads, tokens, size)."""
    tokens: int
    """How many."""


def can_share(reader: Reader, width: int) -> bool:
    """Whether prompts may go on from a beginning that was read apart from them.

    State-space layers remember their past as one state, which cannot be cut; a sliding window forgets, so `width`
    tokens, prompt and answer, must fit into it.
    """
    if "past_key_values" not in reader.known:
        return False
    layers = DynamicCache(config=reader.model.config).layers
    return bool(layers) and all(
        type(layer) is DynamicLayer or (type(layer) is DynamicSlidingWindowLayer and width <= layer.sliding_window)
        for layer in layers
    )


def new_cache(reader: Reader) -> DynamicCache | None:
    """An empty cache whose layers have room for the tokens to come; None where a model makes one of its own."""
    if "past_key_values" not in reader.known:
        return None
    cache = DynamicCache(config=reader.model.config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def read_beginning(reader: Reader, ids: Sequence[int], voice: Voice) -> Beginning:
    """Read the first tokens of some prompts of one voice, at least one, for a model that `can_share`."""
    cache = DynamicCache(config=reader.model.config)
    row = torch.tensor([ids], device=reader.model.device)
    positions = torch.arange(len(ids), device=row.device)[None]
    reader.read(row, mask=torch.ones_like(row), positions=positions, cache=cache, voices=[voice])
    return Beginning(tuple((layer.keys[0], layer.values[0]) for layer in cache.layers), len(ids))


@torch.inference_mode()
def laid_out(reader: Reader, beginnings: Sequence[Beginning | None], taken: Sequence[int]) -> DynamicCache | None:
    """A cache for a batch, with padding on the left.

    Args:
        reader: of the model that read the beginnings.
        beginnings: of each row, None for a row without.
        taken: how many tokens of it each row takes; the others are read again with the row's own.

    Returns:
        A cache of ``max(taken)`` columns; None where a model makes one of its own.
    """
    width = max(taken)
    cache = new_cache(reader)
    if width == 0 or cache is None:
        return cache
    distinct = list({id(one): one for one in beginnings if one is not None}.values())
    columns = _columns(beginnings, taken, distinct).to(reader.model.device)
    for i, layers in enumerate(zip(*(one.layers for one in distinct), strict=True)):
        keys, values = (torch.cat(parts, dim=1) for parts in zip(*layers, strict=True))
        cache.update(keys[:, columns].transpose(0, 1), values[:, columns].transpose(0, 1), i)
    return cache


def _columns(
    beginnings: Sequence[Beginning | None], taken: Sequence[int], distinct: Sequence[Beginning]
) -> torch.Tensor:
    """(rows, max(taken)) places in the distinct beginnings, side by side; masked columns have any."""
    starts, start = {}, 0
    for one in distinct:
        starts[id(one)] = start
        start += one.tokens
    width = max(taken)
    columns = torch.arange(width).repeat(len(taken), 1) - (width - torch.tensor(taken))[:, None]
    return columns.clamp(min=0) + torch.tensor([starts.get(id(one), 0) for one in beginnings])[:, None]


def can_be_joined(cache: object) -> bool:
    """Whether rows of other batches may be put beside those of a cache: it holds keys and values, and all of them."""
    return isinstance(cache, DynamicCache) and all(isinstance(layer, GrowingLayer) for layer in cache.layers)


def joined(one: object, other: object, width: int) -> DynamicCache:
    """The rows of two caches that `can_be_joined` in one of `width` columns, padded on the left."""
    assert isinstance(one, DynamicCache)
    assert isinstance(other, DynamicCache)
    for layer, more in zip(one.layers, other.layers, strict=True):
        pairs = zip((layer.keys, layer.values), (more.keys, more.values), strict=True)
        layer.put(*(torch.cat([_padded(mine, width), _padded(theirs, width)]) for mine, theirs in pairs))
    return one


def cut(cache: object, columns: int) -> DynamicCache:
    """A cache that `can_be_joined` without its first columns."""
    assert isinstance(cache, DynamicCache)
    for layer in cache.layers:
        layer.put(layer.keys[:, :, columns:], layer.values[:, :, columns:])
    return cache


def _padded(states: torch.Tensor, width: int) -> torch.Tensor:
    """(rows, heads, width, size)."""
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))
