"""The state of a training between two steps: weights, moments and facts, from which it goes on to the same bits.

There is no random state in it: order and dropout are functions of seed, step and place. Nor is there a schedule: the
learning rate is a function of the step.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lorasdk.basemodel.safetensors_header import read_stored_tensors
from lorasdk.checkpoints import fault_points
from lorasdk.engine.optimizer import MOMENTS
from lorasdk.engine.snapshot_facts import check_facts
from lorasdk.errors import CheckpointError, Problem

STATE = "state.json"
FIX = "find out who wrote into the run's folder; begin anew with resume='never'"
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
        """Give a model the trained parameters, the best where those are kept.

        Raises:
            CheckpointError: it has other parameters.
        """
        parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.require_fits(parameters)
        for name, tensor in (self.best or self.adapter).items():
            parameters[name].copy_(tensor)

    def require_fits(self, parameters: Tensors) -> None:
        """Let it pass if it is the state of a training of exactly these parameters.

        Raises:
            CheckpointError: names or shapes differ; says which.
        """
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        scalar = torch.Size()
        moments = {f"{name}.{key}": shape for name, shape in shapes.items() for key in MOMENTS}
        moments |= {f"{name}.step": scalar for name in shapes}
        problems = _differences("adapter", self.adapter, shapes) + _differences("optimizer", self.optimizer, moments)
        if self.best:
            problems += _differences("best", self.best, shapes)
        if problems:
            raise CheckpointError(*problems)

    @classmethod
    def read(cls, folder: Path) -> Snapshot:
        """Read what `write` wrote. Hashes that agree do not say who wrote it, so nothing is taken on trust.

        Raises:
            CheckpointError: it is not what `write` writes.
        """
        path = folder / STATE
        try:
            facts = check_facts(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(malformed(path, str(error))) from error
        tensors = {name: _tensors(folder / _file(name)) for name in ("adapter", "optimizer", "best")}
        return cls(step=facts["step"], facts=facts, **tensors)


def _tensors(path: Path) -> Tensors:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a link could lead anywhere
            raise CheckpointError(malformed(path, "it is no file"))
    except FileNotFoundError:
        return {}
    read_stored_tensors(path, error=CheckpointError)
    try:
        tensors: Tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(malformed(path, str(error))) from error
    return tensors


def _differences(name: str, tensors: Tensors, shapes: Mapping[str, torch.Size]) -> list[Problem]:
    found = {key: tensor.shape for key, tensor in tensors.items()}
    return [
        Problem(
            code="checkpoint.other-parameters",
            message=f"{_file(name)} does not hold what this training has",
            field=key,
            found="nothing" if key not in found else str(tuple(found[key])),
            allowed="nothing" if key not in shapes else str(tuple(shapes[key])),
            fix=FIX,
        )
        for key in sorted(found.keys() | shapes.keys())
        if found.get(key) != shapes.get(key)
    ]


def malformed(path: Path, why: str) -> Problem:
    """What is said of a file whose hash agrees and whose content does not."""
    return Problem("checkpoint.malformed", f"the checkpoint is not what a training writes: {why}", str(path), fix=FIX)


def _file(name: str) -> str:
    return f"{name}.safetensors"
