"""The course of the learning rate."""

from __future__ import annotations

import math

from lorasdk.recipe.schema import TrainingSection


def learning_rate(section: TrainingSection, step: int, total_steps: int) -> float:
    """Learning rate of `step`, 1 to `total_steps`.

    With w = ⌈warmup·total⌉ warm-up steps and x = (step − 1 − w) / (total − w) the share of the rest that is over:
    peak · step/w while step ≤ w; then peak (constant), peak·(1 − x) (linear) or peak·(1 + cos πx)/2 (cosine, SGDR,
    arXiv:1608.03983). No step is wasted on a rate of 0.
    """
    warm = math.ceil(section.warmup * total_steps)
    if step <= warm:
        return section.learning_rate * step / warm
    over = (step - 1 - warm) / (total_steps - warm)
    factor = {"constant": 1.0, "linear": 1 - over, "cosine": (1 + math.cos(math.pi * over)) / 2}[section.schedule]
    return section.learning_rate * factor
