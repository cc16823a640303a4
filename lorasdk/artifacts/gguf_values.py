"""Turns values into the number formats of GGUF, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    import numpy as np
    from gguf.gguf_reader import ReaderTensor

TYPES = {
    "f32": GGMLQuantizationType.F32,
    "f16": GGMLQuantizationType.F16,
    "bf16": GGMLQuantizationType.BF16,
    "q8_0": GGMLQuantizationType.Q8_0,
}
"""What `dtype` may be: the types that the gguf library writes and llama.cpp's own converter offers."""


def type_named(dtype: str) -> GGMLQuantizationType:
    """The number format called `dtype`.

    Raises:
        AdapterError: there is none of that name.
    """
    if dtype not in TYPES:
        raise AdapterError(_unknown(dtype))
    return TYPES[dtype]


def stored_type(shape: tuple[int, ...], wanted: GGMLQuantizationType) -> GGMLQuantizationType:
    """The format that a tensor of `shape` is kept in.

    Vectors (norms, biases) stay in float32, which llama.cpp expects of them; rows that do not divide into blocks are
    kept in float16.
    """
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    block, _ = GGML_QUANT_SIZES[wanted]
    return GGMLQuantizationType.F16 if shape[-1] % block else wanted


def stored_bytes(shape: tuple[int, ...], kind: GGMLQuantizationType) -> int:
    """Bytes that a tensor of `shape` takes in the format `kind`."""
    block, size = GGML_QUANT_SIZES[kind]
    count: int = torch.Size(shape).numel() // block * size
    return count


def encoded(values: torch.Tensor, kind: GGMLQuantizationType) -> np.ndarray:
    """The bytes or numbers of `values` in the format `kind`."""
    result: np.ndarray = quantize(values.detach().float().contiguous().numpy(), kind)
    return result


def decoded(tensor: ReaderTensor) -> torch.Tensor:
    """The values of a file's tensor in float32, shaped as torch has it."""
    values = dequantize(tensor.data, tensor.tensor_type).copy()
    return torch.from_numpy(values).reshape(tuple(int(size) for size in reversed(tensor.shape)))


def _unknown(dtype: str) -> Problem:
    return Problem(
        code="export.unknown-dtype",
        message="no number format of that name is written",
        field="dtype",
        found=dtype,
        allowed=", ".join(TYPES),
        fix=f"choose one of {', '.join(TYPES)}",
    )
