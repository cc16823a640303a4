"""Writes a GGUF file tensor by tensor: what a tensor holds is made when its turn comes, and forgotten afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from gguf import GGMLQuantizationType, GGUFWriter

from lorasdk.artifacts.gguf_values import encoded, stored_bytes, stored_type

if TYPE_CHECKING:
    import numpy as np
    from gguf.gguf_reader import ReaderTensor


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the file to be."""

    name: str
    shape: tuple[int, ...]
    """As torch has it."""
    kind: GGMLQuantizationType
    make: Callable[[], np.ndarray]
    """Gives what is written."""


def planned(
    name: str, shape: Sequence[int], wanted: GGMLQuantizationType, values: Callable[[], torch.Tensor]
) -> PlannedTensor:
    """A tensor of `values`, in the format `wanted` where its shape allows that."""
    kind = stored_type(tuple(shape), wanted)
    return PlannedTensor(name, tuple(shape), kind, lambda: encoded(values(), kind))


def taken_over(tensor: ReaderTensor) -> PlannedTensor:
    """A tensor of another file, byte for byte."""
    shape = tuple(int(size) for size in reversed(tensor.shape))
    return PlannedTensor(tensor.name, shape, tensor.tensor_type, partial(_bytes, tensor))


def readable_name(name: str) -> str:
    """`name` for ``general.name``: transformers takes a file called just so for one that it cannot read then."""
    return "Mistral" if name == "mistral" else name


def write_file(path: Path, writer: GGUFWriter, tensors: Sequence[PlannedTensor]) -> None:
    """Write the metadata that `writer` already holds, and the tensors.

    Raises:
        OSError: the disk refuses.
    """
    for tensor in tensors:
        size = stored_bytes(tensor.shape, tensor.kind)
        # Never uint8, of which the writer would think that `shape` counts bytes.
        writer.add_tensor_info(tensor.name, tensor.shape, None, size, raw_dtype=tensor.kind)
    with closing(writer):
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(tensor.make())


def _bytes(tensor: ReaderTensor) -> np.ndarray:
    content: np.ndarray = tensor.data
    return content
