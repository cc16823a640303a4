"""Finds what transformers leaves unread in a GGUF file though it changes every answer: stretched rotary positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gguf import GGUFReader

ROPE_FACTORS = "rope_freqs.weight"
"""The tensor by which Llama 3.1 and later stretch."""


def rotary_scaling(reader: GGUFReader) -> str:
    """By what a file stretches rotary positions; empty when it does not."""
    if any(tensor.name == ROPE_FACTORS for tensor in reader.tensors):
        return ROPE_FACTORS
    for name, field in reader.fields.items():
        if name.endswith(".rope.scaling.type") and field.contents() != "none":
            return f"{name} = {field.contents()}"
    return ""
