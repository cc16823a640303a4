"""Trainings of tiny shapes without files: a task, and what two of them must have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tiny_shapes import build, some_rows

from lorasdk.engine.loop import run_training
from lorasdk.engine.task import Trained, TrainingTask
from lorasdk.recipe.schema import TrainingSection
from lorasdk.stopping import StopToken

ROWS = some_rows(11, shared=8, nested=3)


def run(
    section: dict[str, Any] | None = None, *, model: Any = None, lora: dict[str, Any] | None = None, **task: Any
) -> tuple[Trained, dict[str, torch.Tensor]]:
    """Train a tiny Llama; its history and its trained parameters."""
    model = build("llama", **{"dropout": 0.25, **(lora or {})}) if model is None else model
    settings = {"max_steps": 7, "batch_size": 4, "learning_rate": 1e-2, **(section or {})}
    defaults: dict[str, Any] = {"train": ROWS, "validation": (), "score": dict, "higher_is_better": False}
    observers: dict[str, Callable[[Any], None] | StopToken] = {"emit": lambda _event: None, "stop": StopToken()}
    task = {**defaults, **observers, **task}
    trained = run_training(TrainingTask(model=model, section=TrainingSection.model_validate(settings), **task))
    return trained, {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two runs ended with the same bits."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
