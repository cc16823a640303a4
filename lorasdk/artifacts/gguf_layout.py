"""Names and lays out a model's tensors as llama.cpp's files do, and back.

The inverse of what transformers does when it reads such a file (``modeling_gguf_pytorch_utils``): a file of the llama
architecture keeps the two halves of each rotary pair side by side, transformers one half behind the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gguf
import torch

from lorasdk.artifacts.gguf_architectures import Architecture, architecture_of
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from transformers import PretrainedConfig

KINDS = ("weight", "bias")


@dataclass(frozen=True)
class Layout:
    """The tensors of one model in a file of its architecture."""

    architecture: Architecture
    names: gguf.TensorNameMap
    heads: dict[str, int]
    """Heads of the layers whose rows lie in pairs."""

    @classmethod
    def of(cls, config: PretrainedConfig) -> Layout:
        """The layout for a configuration.

        Raises:
            AdapterError: its architecture is not supported.
        """
        architecture = architecture_of(config)
        kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.name)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
        return cls(architecture, names, heads if architecture.paired else {})

    def file_name(self, name: str) -> str:
        """What the file calls the model's tensor `name`.

        Raises:
            AdapterError: the file has no name for it.
        """
        module, _, kind = name.rpartition(".")
        found = self.names.get_name(module)
        if found is None or kind not in KINDS:
            raise AdapterError(_unknown(name, self.architecture))
        return f"{found}.{kind}"

    def to_file(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Rows of the model's tensor `name` (or of the ``lora_B`` of its layer) in the file's order."""
        heads = self._heads(name)
        if heads is None:
            return tensor
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)

    def from_file(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_file`."""
        heads = self._heads(name)
        if heads is None:
            return tensor
        pairs = tensor.reshape(heads, tensor.shape[0] // heads // 2, 2, *tensor.shape[1:])
        return pairs.swapaxes(1, 2).reshape(tensor.shape)

    def _heads(self, name: str) -> int | None:
        return next((self.heads[part] for part in name.split(".") if part in self.heads), None)


def _unknown(name: str, architecture: Architecture) -> Problem:
    return Problem(
        code="export.unsupported-tensor",
        message=f"a GGUF file of the architecture {architecture.name!r} has no place for {name}",
        field="format",
        found=name,
        fix='export with format="merged"',
    )
