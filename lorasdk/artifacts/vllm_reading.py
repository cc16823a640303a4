"""Reads of an adapter's folder what a server of adapters reads: settings, and names and shapes of the weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasdk.basemodel.json_file import read_json_object
from lorasdk.basemodel.links import require_inside
from lorasdk.basemodel.safetensors_header import StoredTensor, read_stored_tensors
from lorasdk.errors import AdapterError

# The names that PEFT gives these files; the rooms that read them with PEFT have their own, and import it.
SETTINGS = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
DOWN = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?:A\.weight|embedding_A)")
"""The matrix that takes a layer's input down to the rank; its first dimension is the rank."""


@dataclass(frozen=True)
class AsStored:
    """An adapter as it lies on the disk."""

    folder: Path
    settings: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]

    @property
    def ranks(self) -> dict[str, int]:
        """Rank of each adapted module, as its matrix has it."""
        matches = ((DOWN.fullmatch(tensor.name), tensor.shape) for tensor in self.tensors)
        return {match["module"]: shape[0] for match, shape in matches if match is not None}

    @property
    def rank(self) -> int:
        """The largest."""
        return max(self.ranks.values(), default=0)

    @property
    def scale(self) -> float:
        """Factor of every product, as a loader computes it that knows one rank and one alpha."""
        return self._scale(self.settings["lora_alpha"], self.settings["r"])

    @property
    def scales(self) -> dict[str, float]:
        """Factor of each module's product, as PEFT computes it."""
        alphas = self.settings.get("alpha_pattern") or {}
        return {
            module: self._scale(_matching(alphas, module, self.settings["lora_alpha"]), rank)
            for module, rank in self.ranks.items()
        }

    def _scale(self, alpha: float, rank: int) -> float:
        return alpha / (math.sqrt(rank) if self.settings.get("use_rslora") else rank)


def read_as_stored(folder: Path) -> AsStored:
    """Read both files.

    Raises:
        AdapterError: one is absent, damaged, or a link out of the folder.
    """
    for name in (SETTINGS, WEIGHTS):
        require_inside(folder / name)
    settings = read_json_object(folder / SETTINGS, error=AdapterError)
    return AsStored(folder, settings, read_stored_tensors(folder / WEIGHTS, error=AdapterError))


def _matching(patterns: Mapping[str, float], module: str, otherwise: float) -> float:
    """The value of the first pattern that ends a module's name: PEFT's rule."""
    found = (value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module))
    return next(found, otherwise)
