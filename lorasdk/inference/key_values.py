"""Keys and values of beginnings that several prompts share: computed once, put before each prompt's own tokens.

A batch that is put together this way looks to the model exactly as if every row had been read whole: padding is on the
left only, and each column of the cache is the column that it would have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

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


def read_beginning(reader: Reader, ids: Sequence[int]) -> Beginning:
    """Read the first tokens of some prompts, at least one, for a model that `can_share`."""
    cache = DynamicCache(config=reader.model.config)
    row = torch.tensor([ids], device=reader.model.device)
    positions = torch.arange(len(ids), device=row.device)[None]
    reader.read(row, mask=torch.ones_like(row), positions=positions, cache=cache)
    return Beginning(tuple((layer.keys[0], layer.values[0]) for layer in cache.layers), len(ids))


@torch.inference_mode()
def laid_out(reader: Reader, beginnings: Sequence[Beginning | None], taken: Sequence[int]) -> DynamicCache | None:
    """A cache for a batch, with padding on the left.

    Args:
        reader: of the model that read the beginnings.
        beginnings: of each row, None for a row without.
        taken: how many tokens of it each row takes; the others are read again with the row's own.

    Returns:
        A cache of ``max(taken)`` columns; None if that is 0.
    """
    width = max(taken)
    if width == 0:
        return None
    distinct = list({id(one): one for one in beginnings if one is not None}.values())
    columns = _columns(beginnings, taken, distinct).to(reader.model.device)
    cache = DynamicCache(config=reader.model.config)
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
