"""The state of a training between two steps: weights, moments and facts, from which it goes on to the same bits.

There is no random state in it: order and dropout are functions of seed, step and place. Nor is there a schedule: the
learning rate is a function of the step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lorasdk.checkpoints import fault_points

STATE = "state.json"
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Snapshot:
    """Everything a training needs to go on as if it had never stopped."""

    step: int
    """Steps taken."""
    adapter: Tensors
    """Trained parameters by name."""
    optimizer: Tensors
    """``NAME.step``, ``NAME.exp_avg`` and ``NAME.exp_avg_sq`` of each parameter."""
    best: Tensors
    """Parameters with the best watched metric; empty where they are not kept."""
    facts: Mapping[str, Any]
    """The rest, as JSON."""

    def write(self, folder: Path) -> None:
        """Put it into an empty folder."""
        for name in ("adapter", "optimizer", "best"):
            tensors: Tensors = getattr(self, name)
            if tensors:
                save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / _file(name))
                fault_points.reach("file-written")
        (folder / STATE).write_text(json.dumps({"step": self.step, **self.facts}), encoding="utf-8")
        fault_points.reach("file-written")

    @torch.no_grad()
    def put_into(self, model: torch.nn.Module) -> None:
        """Give a model the trained parameters, the best where those are kept."""
        parameters = dict(model.named_parameters())
        for name, tensor in (self.best or self.adapter).items():
            parameters[name].copy_(tensor)

    @classmethod
    def read(cls, folder: Path) -> Snapshot:
        """Read what `write` wrote; the folder was compared with its hashes before."""
        facts = json.loads((folder / STATE).read_text("utf-8"))
        tensors = {
            name: load_file(folder / _file(name)) if (folder / _file(name)).is_file() else {}
            for name in ("adapter", "optimizer", "best")
        }
        return cls(step=facts["step"], facts=facts, **tensors)


def _file(name: str) -> str:
    return f"{name}.safetensors"
