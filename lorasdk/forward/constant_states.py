"""When only upper layers are adapted, what the layers below make of a row never changes: it is computed once and kept.

Each row's states come from a pass that is planned by the rows alone, so they do not depend on which rows a step takes.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch

from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.data.encoding import TokenRow
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.forward.fused_modules import Fused, fused_with

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from lorasdk.forward.packed import PackedPasses

ROWS_AT_ONCE = 256
"""Rows whose passes are planned together."""
MEMORY_SHARE = 0.25
"""Of the memory that is free; more goes to a file."""
DISK_SHARE = 0.25
"""Of the free space in the folder for temporary files; more is not kept at all."""


@dataclass(frozen=True)
class ConstantStates:
    """Hidden states of rows after the lowest layers."""

    layers: tuple[torch.nn.Module, ...]
    """The lowest layers, none of them trained."""
    states: torch.Tensor
    """(tokens of all rows, size), in memory or mapped from a file that has no name."""
    starts: dict[int, int]
    """Where a row's tokens begin in `states`, by row number."""

    @property
    def bytes(self) -> int:
        """Bytes that the states take."""
        return self.states.numel() * self.states.element_size()

    def of_tree(self, tree: PrefixTree, rows: Sequence[TokenRow]) -> torch.Tensor:
        """(tokens, size): the states of a tree's tokens in flat order; each segment's from a row that goes through."""
        through = {segment: row for row in range(len(rows)) for segment in tree.path(row)}
        parts = []
        for number, segment in enumerate(tree.segments):
            row = rows[through[number]]
            start = self.starts[row.row] + segment.position
            parts.append(self.states[start : start + len(segment.ids)])
        return torch.cat(parts)

    @torch.no_grad()
    def compute(self, passes: PackedPasses, rows: Sequence[TokenRow]) -> None:
        """Fill in the states of the rows of one pass."""
        tree = PrefixTree.of(rows, worth=passes.worth_sharing)
        every = list(unwrapped(passes.model).get_decoder().layers)
        found: list[torch.Tensor] = []
        handle = self.layers[-1].register_forward_hook(lambda _layer, _inputs, output: found.append(output))
        try:
            with passes.ready(), fused_with([Fused(layer, _pass_on) for layer in every[len(self.layers) :]]):
                passes.hidden(passes.inputs(rows))
        finally:
            handle.remove()
        flat = found[0][0].to("cpu")
        for number, row in enumerate(rows):
            start = self.starts[row.row]
            self.states[start : start + len(row.ids)] = flat[tree.flat_indices(number)]

    def skipped(self, states: torch.Tensor) -> list[Fused]:
        """Forwards with which the lowest layers give these (tokens, size) states without computing anything."""
        *below, last = self.layers
        return [*(Fused(layer, _pass_on) for layer in below), Fused(last, lambda *_args, **_kwargs: states[None])]


def untrained_layers(model: PreTrainedModel | PeftModel) -> tuple[torch.nn.Module, ...]:
    """The lowest decoder layers without a trained parameter; none if the embedding before them is trained.

    A model that drops something by itself has no constant states.
    """
    decoder = unwrapped(model).get_decoder()
    layers = dict(decoder.named_children()).get("layers")
    own = [m for name, m in decoder.named_modules() if isinstance(m, torch.nn.Dropout) and ".lora_dropout." not in name]
    embeds = any(parameter.requires_grad for parameter in model.get_input_embeddings().parameters())
    if not isinstance(layers, torch.nn.ModuleList) or embeds or any(dropout.p for dropout in own):
        return ()
    trained = [any(parameter.requires_grad for parameter in layer.parameters()) for layer in layers]
    return tuple(layers[: trained.index(True)]) if True in trained else ()


def keep_constant_states(
    passes: PackedPasses, rows: Sequence[TokenRow], *, between: Callable[[], None]
) -> ConstantStates | None:
    """Compute the constant states of all rows; None where nothing is constant, or there is no room.

    Args:
        passes: of a model with its adapter.
        rows: all training rows; those of one number are the same row.
        between: called before each forward pass; may raise to end the work.
    """
    layers = untrained_layers(passes.model)
    different = {row.row: row for row in rows}.values() if layers else ()
    ends = list(accumulate(len(row.ids) for row in different))
    states = _room(ends[-1], passes.model.get_input_embeddings().weight) if ends else None
    if states is None:
        return None
    starts = {row.row: end - len(row.ids) for row, end in zip(different, ends, strict=True)}
    kept = ConstantStates(layers, states, starts)
    ordered = list(different)
    for first in range(0, len(ordered), ROWS_AT_ONCE):
        for part in passes.split(ordered[first : first + ROWS_AT_ONCE]):
            between()
            kept.compute(passes, part)
    return kept


def _room(tokens: int, like: torch.Tensor) -> torch.Tensor | None:
    """(tokens, size) on the host, in memory or in a file; None if neither has the room."""
    shape = (tokens, like.shape[1])
    needed = math.prod(shape) * like.element_size()
    if needed <= MEMORY_SHARE * psutil.virtual_memory().available:
        return torch.empty(shape, dtype=like.dtype)
    folder = Path(tempfile.gettempdir())
    if os.name != "posix" or needed > DISK_SHARE * shutil.disk_usage(folder).free:
        return None
    # The file loses its name at once and its space with the tensor, whatever becomes of the process.
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        return torch.from_file(file.name, shared=True, size=math.prod(shape), dtype=like.dtype).view(shape)


def _pass_on(hidden_states: torch.Tensor, *_args: object, **_kwargs: object) -> torch.Tensor:
    return hidden_states
